"""A solver of one's own is one class: it trains, saves, resumes, shows, predicts; no other file knows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner

import linreg_dist as lr
from linreg_dist.cli.main import cli
from linreg_dist.data.store import BlockStore
from linreg_dist.model.describe import describe
from linreg_dist.solvers import SOLVERS, Solver
from linreg_dist.solvers.epochs import Checkpoint, EpochEnd, Method, Position, Snapshot, run_epochs
from linreg_dist.training.fit import Fit
from linreg_dist.training.rows.sweep import Rows
from linreg_dist.training.training import Training
from linreg_dist.verbs.score import predict
from tests.parquet import linear_columns, write_parquet


class NormalEquations(Solver):
    """Solves Σ z zᵀ b = Σ z y, z the features and a one; unweighted, of one target."""

    name = "normal_equations"
    is_iterative = False

    def fit(self, training: Training) -> Fit:
        size = training.num_features + 1

        def products(rows: Rows) -> torch.Tensor:
            z = torch.cat([rows.x_ND, torch.ones_like(rows.y_NK)], dim=1).double()
            return torch.cat([z.t() @ z, z.t() @ rows.y_NK.double()], dim=1).reshape(-1)

        totals = training.totals  # read first, so that an interrupted pass is continued
        sums = training.sum_over(products, size * (size + 1)).reshape(size, size + 1).numpy()
        solution = np.linalg.solve(sums[:, :-1], sums[:, -1])
        shift = training.data.shift
        coef, intercept = solution[:-1], solution[-1] + shift.y_K[0] - shift.x_D @ solution[:-1]
        choices = {"rows_squared": totals.counts.train**2}
        return Fit(coef[None], np.array([intercept]), epochs=1, stopped="solved", choices=choices)


class Landweber(Solver):
    """Gradient descent on all rows, with half the largest stable step; one class, and its own `Method`."""

    name = "landweber"

    def fit(self, training: Training) -> Fit:
        return run_epochs(training, _Landweber(training))


class _Landweber(Method):
    def __init__(self, training: Training) -> None:
        self._training, self._w = training, torch.zeros(training.num_features + 1, dtype=torch.float64)
        self._mse = float("nan")

    def init(self, found: Checkpoint | None) -> None:
        if found is not None:
            self._w = found[1]["w"].clone()

    def is_over(self, at: Position) -> bool:
        return at.step == 1

    def step(self, at: Position) -> None:
        def gradient(rows: Rows) -> torch.Tensor:
            z = torch.cat([rows.x_ND, torch.ones_like(rows.y_NK)], dim=1).double()
            r = z @ self._w - rows.y_NK[:, 0].double()
            return torch.cat([z.t() @ r, (r @ r)[None]])

        n = self._training.summary.counts.train
        *slope, squared = self._training.sum_over(gradient, len(self._w) + 1) / n
        self._w, self._mse = self._w - 0.5 * torch.stack(slope), float(squared)

    def end_epoch(self, at: Position, first_step: int) -> EpochEnd:
        return EpochEnd(self._mse, self._training.summary.counts.train)

    def in_blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self._w[:-1, None], self._w[-1:]

    def snapshot(self) -> Snapshot:
        return Snapshot({"w": self._w}, global_batch_size=1)

    def postprocess(self, at: Position, stopped: str) -> Fit:
        coef_DK, intercept_K = self.in_blocks()
        shift = self._training.data.shift
        coef = coef_DK.t().numpy()
        return Fit(coef, intercept_K.numpy() + shift.y_K - coef @ shift.x_D, at.epoch, stopped)


@pytest.fixture(autouse=True)
def _added() -> Iterator[None]:
    for solver in (NormalEquations(), Landweber()):
        SOLVERS.add(solver)
    yield
    for name in ("normal_equations", "landweber"):
        SOLVERS.remove(name)


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    write_parquet(tmp_path / "data" / "a.parquet", linear_columns(900, 3), row_group_size=100)
    return {
        "name": "own",
        "data": {"path": str(tmp_path / "data"), "target": "y"},
        "solver": {"name": "normal_equations", "epochs": 12},
        "run": {"storage_path": str(tmp_path / "runs"), "checkpoint_every_s": 1e-9, "max_failures": 0},
    }


class PowerCutError(Exception):
    """What no code of ours expects."""


def test_it_trains_saves_shows_and_predicts(spec: dict[str, Any], tmp_path: Path) -> None:
    run = lr.train(spec)
    exact = lr.train({**spec, "name": "exact", "solver": {"name": "exact"}})
    np.testing.assert_allclose(run.model.coef_, exact.model.coef_, rtol=1e-4)
    assert run.metrics["validation"]["r2"] == pytest.approx(exact.metrics["validation"]["r2"], rel=1e-6)
    solver = run.result["solver"]
    assert (solver["name"], solver["reason"]) == ("normal_equations", "chosen in the spec")
    assert solver["rows_squared"] == run.result["rows"]["train"] ** 2
    shown = describe(lr.LinearModel.load(run.path)).to_json()
    assert [row["feature"] for row in shown["coefficients"]] == ["x0", "x1", "x2"]
    assert "normal_equations" in shown["inference_reason"]
    predict(run.model, spec["data"]["path"], tmp_path / "scores")
    scores = pq.read_table(tmp_path / "scores").column("prediction").to_numpy()
    rows = pq.read_table(tmp_path / "data").to_pandas()
    np.testing.assert_allclose(scores, rows[["x0", "x1", "x2"]] @ run.model.coef_ + run.model.intercept_)
    assert "normal_equations" in (run.path / "report.html").read_text()


def test_the_command_line_knows_it(spec: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "own.json"
    file.write_text(json.dumps(spec))
    trained = CliRunner().invoke(cli, ["train", str(file), "--json"], catch_exceptions=False)
    assert json.loads(trained.stdout)["solver"]["name"] == "normal_equations"
    shown = CliRunner().invoke(cli, ["show", str(tmp_path / "runs" / "own")], catch_exceptions=False)
    assert "normal_equations" in shown.stdout
    assert "normal_equations" in CliRunner().invoke(cli, ["schema"], catch_exceptions=False).stdout


def test_its_first_pass_goes_on_where_it_was_cut(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = lr.train({**spec, "name": "whole"})
    build, cut_at = BlockStore.build, [5]
    seen: list[int] = []

    def cut(store: BlockStore, index: int) -> Any:
        if len(seen) == cut_at[0]:
            raise PowerCutError
        seen.append(index)
        return build(store, index)

    monkeypatch.setattr(BlockStore, "build", cut)
    no_memory = {"scaling": {"virtual_shards": 1}}
    with pytest.raises(PowerCutError):
        lr.train({**spec, **no_memory})
    seen.clear()
    cut_at[0] = -1
    run = lr.train({**spec, **no_memory})
    np.testing.assert_allclose(run.model.coef_, whole.model.coef_, rtol=1e-12)
    assert run.result["rows"] == whole.result["rows"]


def test_its_epochs_go_on_from_a_checkpoint(spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    spec["solver"]["name"] = "landweber"
    spec["solver"]["epochs"] = 30
    whole = lr.train({**spec, "name": "whole"})
    step, steps = _Landweber.step, []

    def cut(self: _Landweber, at: Position) -> None:
        if len(steps) == 17:
            raise PowerCutError
        steps.append(at.epoch)
        step(self, at)

    monkeypatch.setattr(_Landweber, "step", cut)
    with pytest.raises(PowerCutError):
        lr.train(spec)
    assert steps == list(range(17))
    steps.clear()
    run = lr.train(spec)
    assert steps == list(range(17, 30))
    np.testing.assert_array_equal(run.model.coef_, whole.model.coef_)
    assert run.result["solver"]["stopped"] == "epochs: all 30 were run"
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    losses = [line["train_mse"] for line in lines if "epoch" in line]
    assert len(losses) == 30
    assert losses == sorted(losses, reverse=True)


def test_what_it_has_no_use_for_is_refused_at_its_place(spec: dict[str, Any]) -> None:
    spec["solver"]["momentum"] = 0.5
    spec["model"] = {"covariance": "HC1"}
    with pytest.raises(lr.SpecError) as raised:
        lr.train(spec)
    assert "momentum has no meaning for solver normal_equations; set solver.name to sgd or rmsprop" in str(
        raised.value
    )
    assert "solver.name is normal_equations" in str(raised.value)


def test_a_name_that_nobody_has_added_is_refused_with_the_nearest(spec: dict[str, Any]) -> None:
    spec["solver"]["name"] = "normal_equation"
    with pytest.raises(lr.SpecError, match=r'did you mean "normal_equations"\? @ solver.name'):
        lr.train(spec)


@pytest.mark.slow
def test_it_gives_the_same_answer_on_workers(spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # Workers import nothing from the current directory: where the solver is must be said.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    scaling = {"virtual_shards": 4}
    local = lr.train({**spec, "name": "local", "scaling": scaling})
    run = lr.train({**spec, "scaling": {**scaling, "num_workers": 2}})
    np.testing.assert_array_equal(run.model.coef_, local.model.coef_)
