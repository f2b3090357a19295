"""A module of the user's own goes the way of every model: data, batches, checkpoints, folder, scoring."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from linreg_dist.solvers.module.descent import ModuleSteps
from linreg_dist.verbs.export import export
from linreg_dist.verbs.report import report
from linreg_dist.verbs.score import evaluate, predict
from linreg_dist.verbs.train import train
from tests.pages import ROOT, snippets
from tests.parquet import write_parquet

TWO_LAYERS = "tests.own_modules.TwoLayers"


def bent_columns(num_rows: int = 2000) -> dict[str, np.ndarray[Any, Any]]:
    """Return a target that no line fits, with features far from mean 0 and variance 1."""
    rng = np.random.default_rng(0)
    x0, x1 = rng.uniform(900, 1100, num_rows), rng.normal(0, 0.01, num_rows)
    return {"x0": x0, "x1": x1, "y": 5000 + 3 * np.abs(x0 - 1000) + 2000 * x1 + rng.normal(0, 2, num_rows)}


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    path = write_parquet(tmp_path / "data" / "a.parquet", bent_columns(), row_group_size=250)
    return {
        "name": "net",
        "data": {"path": str(path), "target": "y"},
        "model": {"module": TWO_LAYERS, "module_args": {"hidden": 16}},
        "solver": {"name": "adam", "epochs": 12, "learning_rate": 0.01, "global_batch_size": 64},
        "run": {"storage_path": str(tmp_path / "runs")},
    }


def test_a_network_learns_what_no_line_can_and_scores_from_its_folder(
    spec: dict[str, Any], tmp_path: Path
) -> None:
    run = train(spec)
    r2 = run.metrics["validation"]["r2"]
    line = lr.fit(spec["data"]["path"], "y", progress=False, run={"storage_path": str(tmp_path / "lines")})
    assert line.metrics["validation"]["r2"] < 0.5 < 0.9 < r2
    assert run.result["solver"]["name"] == "adam"
    page = (run.path / "report.html").read_text()
    for told in ("tests.own_modules.TwoLayers", "Residuals of y", "Actual against predicted", "Loss over 12"):
        assert told in page
    assert "Coefficients for" not in page
    assert "because of" not in page
    found = json.loads((run.path / "diagnostics.json").read_text())
    assert found["targets"][0]["rmse"] == pytest.approx(run.metrics[found["split"]]["rmse"], rel=1e-4)
    again = tmp_path / "again.html"
    report([run.path], again)  # imports no code
    assert "Residuals of y" in again.read_text()
    report([run.path, line.path], tmp_path / "both.html")
    assert "has no coefficients to set beside others: net." in (tmp_path / "both.html").read_text()
    assert not (run.path / "module.pending.safetensors").exists()

    table = pq.read_table(spec["data"]["path"])
    predicted = run.model.predict(table)
    assert np.corrcoef(predicted, table["y"].to_numpy())[0, 1] ** 2 > 0.9
    loaded = lr.LinearModel.load(run.path, allow_module=True)
    np.testing.assert_array_equal(loaded.predict(table), predicted)
    measured = evaluate(run.path, spec["data"]["path"], allow_module=True)
    assert measured.metrics.mse == pytest.approx(float(np.mean((predicted - table["y"].to_numpy()) ** 2)))
    predict(run.path, spec["data"]["path"], tmp_path / "scored", allow_module=True)
    scored = pq.read_table(tmp_path / "scored")["prediction"].to_numpy()
    np.testing.assert_allclose(scored, predicted)
    assert train(spec).already_finished


def test_what_was_trained_shows_itself_and_has_no_coefficients(spec: dict[str, Any], tmp_path: Path) -> None:
    model = train({**spec, "solver": {"name": "auto", "epochs": 1}}).model
    assert not model.is_linear
    assert repr(model) == "<ModuleModel of y: tests.own_modules.TwoLayers, 65 weights>"
    text = str(model.summary())
    assert 'arguments   {"hidden": 16}' in text
    assert "adam (auto: a module of your own has no closed form)" in text
    for call in (model.cov_params, model.conf_int, model.plot):
        with pytest.raises(
            lr.SpecError, match=r"a module of your own \(tests.own_modules.TwoLayers\) has no"
        ):
            call()
    with pytest.raises(lr.SpecError, match="has no coefficients to export"):
        export(model, "sklearn", tmp_path / "model")


def test_a_folder_from_elsewhere_imports_nothing_unasked(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train({**spec, "solver": {**spec["solver"], "epochs": 1}})
    place = tmp_path / "runs/net/model/config.json"
    config = json.loads(place.read_text())
    (tmp_path / "trap.py").write_text("raise SystemExit('the code ran')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    del config["checksum"]
    place.write_text(json.dumps({**config, "module": "trap.Class"}))
    loaded = lr.LinearModel.load(run.path)
    assert loaded.summary()
    for call in (
        lambda: loaded.predict(pq.read_table(spec["data"]["path"])),
        lambda: evaluate(run.path, spec["data"]["path"]),
        lambda: predict(run.path, spec["data"]["path"], tmp_path / "scored"),
    ):
        with pytest.raises(lr.SpecError, match=r"trap.Class, whose code runs .*--allow-module"):
            call()
    assert "trap" not in sys.modules
    assert not (tmp_path / "scored").exists()


def test_several_targets_weights_and_missing_values_go_the_same_way(tmp_path: Path) -> None:
    columns = bent_columns(400)
    x0 = columns["x0"].copy()
    x0[:10] = np.nan
    table = pa.table({**columns, "x0": x0, "z": -columns["y"], "w": np.ones(400)})
    options: dict[str, Any] = {"data.missing": "drop", "data.weight": "w"}
    run = lr.fit(
        table,
        ["y", "z"],
        progress=False,
        model={"module": TWO_LAYERS},
        solver={"name": "sgd", "epochs": 3},
        **options,
    )
    predicted = run.model.predict(table)
    assert predicted.shape == (400, 2)
    assert np.isnan(predicted[:10]).all()
    assert np.isfinite(predicted[10:]).all()
    assert run.result["rows"]["dropped"]["missing"] == 10


def test_a_layer_that_takes_its_width_from_the_data_is_trained_to_the_line_of_least_squares(
    spec: dict[str, Any],
) -> None:
    spec["data"] |= {"features": ["x1"], "validation": {"method": "none"}}
    spec["model"] = {"module": "tests.own_modules.OneColumn"}
    whole = {"global_batch_size": 2000, "early_stop": None}
    spec["solver"] = {"name": "adam", "epochs": 400, "learning_rate": 0.02, "schedule": "cosine", **whole}
    model = train(spec).model
    table = pq.read_table(spec["data"]["path"])
    slope, intercept = np.polyfit(table["x1"].to_numpy(), table["y"].to_numpy(), 1)
    expected = intercept + slope * table["x1"].to_numpy()
    np.testing.assert_allclose(model.predict(table), expected, atol=0.02 * np.std(table["y"].to_numpy()))


@pytest.mark.slow  # starts two processes
@pytest.mark.usefixtures("light_workers")
def test_two_workers_find_what_one_process_does(spec: dict[str, Any]) -> None:
    spec["solver"]["epochs"] = 3
    here, there = (
        train({**spec, "name": f"on-{workers}", "scaling": {"num_workers": workers}}).model
        for workers in (0, 2)
    )
    table = pq.read_table(spec["data"]["path"])
    np.testing.assert_allclose(there.predict(table), here.predict(table), rtol=1e-4)


def test_a_fit_that_was_interrupted_goes_on_to_the_same_weights(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec["model"]["module_args"]["dropout"] = 0.2
    spec["solver"]["epochs"] = 4
    whole = train({**spec, "name": "whole"}).model
    step = ModuleSteps.step

    def stops(self: ModuleSteps, at: Any) -> None:
        if (at.epoch, at.step) == (2, 5):
            raise KeyboardInterrupt
        step(self, at)

    monkeypatch.setattr(ModuleSteps, "step", stops)
    often = {**spec, "run": {**spec["run"], "checkpoint_every_s": 0.001}}
    with pytest.raises((KeyboardInterrupt, lr.LinregDistError)):
        train(often)
    assert list((tmp_path / "runs/net/checkpoints").glob("epoch*"))
    monkeypatch.undo()
    table = pq.read_table(spec["data"]["path"])
    np.testing.assert_allclose(train(often).model.predict(table), whole.predict(table), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"solver.name": "exact"}, "exact solves for coefficients, which model.module has none of"),
        ({"solver.name": "lbfgs"}, "lbfgs solves for coefficients"),
        ({"model.loss": "huber"}, "has squared loss only"),
        ({"model.l1": 0.1}, "and not l1"),
        ({"model.covariance": "HC3"}, "no standard errors"),
        ({"tune": {"l2": [0.1]}}, "no cross-validation"),
        ({"outputs.export": ["sql"]}, "no exports"),
        ({"model.module": "NoPackage"}, "model.module"),
        ({"model.module": "os.system('x')"}, "model.module"),
    ],
)
def test_what_a_module_cannot_do_is_refused_in_the_spec(
    spec: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(lr.SpecError, match=message.replace("(", r"\(")):
        train(spec, changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.module": "no_such_package.Class"}, "cannot be imported: .*PYTHONPATH"),
        ({"model.module": "tests.own_modules.Missing"}, "has no class Missing"),
        ({"model.module": "tests.own_modules.NoModule"}, "no subclass of torch.nn.Module"),
        ({"model.module_args": {"depth": 3}}, "cannot be made with .*depth.*TypeError"),
        (
            {"model.module": "tests.own_modules.TooMany", "model.module_args": {}},
            r"output for 2 rows is \(2, 3\); expected \(2, 1\)",
        ),
    ],
)
def test_a_class_that_will_not_do_says_what_is_wrong_with_it(
    spec: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(lr.SpecError, match=message) as raised:
        train(spec, changes)
    assert raised.value.exit_code == 2


@pytest.mark.slow  # four commands, each a process
def test_the_page_on_own_modules_runs_as_printed(tmp_path: Path) -> None:
    page = (ROOT / "docs/own_module.md").read_text()
    found = {each.language: each.code for each in snippets(page)}
    (tmp_path / "code").mkdir()
    (tmp_path / "code/nets.py").write_text(found["python"])
    (tmp_path / "net.yaml").write_text(found["yaml"])
    write_parquet(tmp_path / "data.parquet", bent_columns(500), row_group_size=100)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "code")}
    printed = []
    for line in found["console"].splitlines():
        command = [
            sys.executable,
            "-m",
            *line.removeprefix("$ ").replace("linreg-dist", "linreg_dist").split(),
        ]
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    assert "net: succeeded" in printed[0]
    assert "module      nets.TwoLayers" in printed[1]
    assert pq.read_table(tmp_path / "scored").num_rows == 500
    refused = [sys.executable, "-m", "linreg_dist", "evaluate", "runs/net", "--data", "data.parquet"]
    done = subprocess.run(refused, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--allow-module" in done.stderr
