"""Whole runs with their data and all their files on S3: the same numbers and the same files as on disk."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from linreg_dist.cli.main import run as run_cli
from linreg_dist.storage import ObjectPath
from linreg_dist.training.checkpoints.checkpoint import CheckpointStore
from linreg_dist.verbs.score import evaluate, predict
from linreg_dist.verbs.stats import merge_statistics, open_statistics, solve_statistics
from tests.page.document import Document
from tests.parts import write_parts
from tests.storage.conftest import Store

SGD = {"name": "sgd", "epochs": 3, "global_batch_size": 256, "seed": 3}


@pytest.fixture
def data(tmp_path: Path, store: Store) -> str:
    write_parts(tmp_path / "data", [1700, 1, 333, 900])
    return store.upload(tmp_path / "data", "data")


def spec_of(data: str | Path, storage: str | Path, **sections: Any) -> dict[str, Any]:
    return {
        "name": "job",
        "data": {"path": str(data), "target": "y"},
        **sections,
        "run": {"storage_path": str(storage), **sections.get("run", {})},
    }


class Invoke:
    """Runs a command line in this process."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self.errors = ""

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """Return what it printed on stdout, once it ended with ``code``; ``errors`` has the rest."""
        found = run_cli(arguments)
        out, self.errors = self._capfd.readouterr()
        assert found == code, self.errors
        return out


@pytest.fixture
def invoke(capfd: pytest.CaptureFixture[str]) -> Invoke:
    return Invoke(capfd)


@pytest.mark.parametrize("solver", [{"name": "exact"}, SGD, {"name": "lbfgs"}])
def test_a_run_on_s3_is_a_run_on_disk(
    tmp_path: Path, store: Store, data: str, solver: dict[str, Any]
) -> None:
    every = {"checkpoint_every_s": 1e-9}
    local = lr.train(spec_of(tmp_path / "data", tmp_path / "runs", solver=solver, run=every))
    run = lr.train(spec_of(data, f"{store.uri}/runs", solver=solver, run=every))
    np.testing.assert_array_equal(run.model.coef_, local.model.coef_)
    np.testing.assert_array_equal(run.model.intercept_, local.model.intercept_)
    assert run.metrics == local.metrics
    assert run.result["rows"] == local.result["rows"]

    assert isinstance(run.path, ObjectPath)
    assert str(run.path) == f"{store.uri}/runs/job"
    assert run.result["model"] == f"{store.uri}/runs/job/model"
    assert json.loads(store.read("runs/job/result.json")) == run.result
    on_disk = {str(f.relative_to(local.path)) for f in local.path.rglob("*") if f.is_file()}
    no_checkpoint = {key for key in on_disk if not key.startswith("checkpoints/epoch")}
    assert {
        key for key in store.list_keys("runs/job") if not key.startswith("checkpoints/epoch")
    } == no_checkpoint
    assert json.loads(store.read("runs/job/model/config.json"))["rows"] == run.result["rows"]


def test_the_page_is_the_one_on_disk(tmp_path: Path, store: Store, data: str) -> None:
    uri = f"{store.uri}/runs?endpoint_override={store.proxy.url}&scheme=http"
    local = lr.train(spec_of(tmp_path / "data", tmp_path / "runs", solver=SGD))
    run = lr.train(spec_of(data, uri, solver=SGD))
    assert run.result["report"] == str(run.path / "report.html")
    html = store.read("runs/job/report.html").decode()
    here, there = Document.of(Path(local.path)), Document(html)
    assert there.table("Coefficients").rows == here.table("Coefficients").rows
    assert there.headings == here.headings
    epochs = [
        {epoch: cells[1:] for epoch, cells in page.table("Every epoch").rows.items()}
        for page in (here, there)
    ]
    assert epochs[0] == epochs[1], "all but the seconds, so the epochs were read from the store"
    assert len(epochs[0]) == 3
    assert there.table("Data, run and versions").rows["run"] == [f"{store.uri}/runs/job"]
    assert "127.0.0.1" not in html
    again = lr.train(spec_of(data, uri, solver=SGD), {"outputs.report": False}, fresh=True)
    assert again.result["report"] is None
    assert "report.html" not in store.list_keys("runs/job")


def test_metrics_have_every_line(tmp_path: Path, store: Store, data: str) -> None:
    local = lr.train(spec_of(tmp_path / "data", tmp_path / "runs", solver=SGD))
    lr.train(spec_of(data, f"{store.uri}/runs", solver=SGD))
    there = [json.loads(line) for line in store.read("runs/job/metrics.jsonl").splitlines()]
    here = [json.loads(line) for line in (local.path / "metrics.jsonl").read_text().splitlines()]
    epochs = [(line["epoch"], line["train_mse"]) for line in there if "epoch" in line]
    assert epochs == [(line["epoch"], line["train_mse"]) for line in here if "epoch" in line]
    assert len(epochs) == 3


def test_the_same_name_again(tmp_path: Path, store: Store, data: str) -> None:
    spec = spec_of(data, f"{store.uri}/runs")
    first = lr.train(spec)
    again = lr.train(spec)
    assert again.already_finished
    assert again.result == first.result
    with pytest.raises(lr.SpecError, match=r"another spec:\n  model\.l2: 0\.0 -> 0\.5\nChoose another name"):
        lr.train(spec, {"model.l2": 0.5})
    fresh = lr.train(spec, {"model.l2": 0.5}, fresh=True)
    assert not fresh.already_finished
    write_parts(tmp_path / "more", [100], seed=1)
    with (tmp_path / "more" / "part-0.parquet").open("rb") as file:
        ObjectPath.of(f"{data}/part-9.parquet").write_bytes(file.read())
    with pytest.raises(lr.SpecError, match="same spec on other data"):
        lr.train(spec, {"model.l2": 0.5})


def test_fresh_deletes_no_folder_that_is_no_run(store: Store, data: str) -> None:
    ObjectPath.of(f"{store.uri}/runs/job/thesis.tex").write_bytes(b"years of work")
    with pytest.raises(lr.SpecError, match="--fresh will not delete it"):
        lr.train(spec_of(data, f"{store.uri}/runs"), fresh=True)
    assert store.read("runs/job/thesis.tex") == b"years of work"


def test_fresh_deletes_no_foreign_object_of_a_run(store: Store, data: str) -> None:
    spec = spec_of(data, f"{store.uri}/runs")
    lr.train(spec)
    assert "job/.linreg_dist-run" in store.list_keys("runs")
    ObjectPath.of(f"{store.uri}/runs/job/model/thesis.tex").write_bytes(b"years of work")
    before = store.list_keys("runs")
    with pytest.raises(lr.SpecError, match=r"model/thesis\.tex"):
        lr.train(spec, fresh=True)
    assert store.list_keys("runs") == before


def test_predictions_do_not_go_among_the_data_or_into_a_run(store: Store, data: str) -> None:
    run = lr.train(spec_of(data, f"{store.uri}/runs")).path
    before = store.list_keys("")
    for output in (data, f"{data}/scored", store.uri, f"{run}/model"):
        with pytest.raises(lr.SpecError, match="--output"):
            predict(run, data, output, overwrite=True)
    assert store.list_keys("") == before


def test_a_failed_run_says_so_and_is_run_again(store: Store, data: str) -> None:
    diverging = {**SGD, "learning_rate": 1e30}
    spec = spec_of(data, f"{store.uri}/runs", solver=diverging)
    with pytest.raises(lr.RunFailedError, match="diverged"):
        lr.train(spec)
    result = json.loads(store.read("runs/job/result.json"))
    assert (result["status"], result["error"]["exit_code"]) == ("failed", 1)
    with pytest.raises(lr.RunFailedError, match="diverged"):
        lr.train(spec)


def test_a_stopped_run_continues_from_its_checkpoint(
    tmp_path: Path, store: Store, data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    solver = {**SGD, "epochs": 40, "early_stop": None}
    spec = spec_of(data, f"{store.uri}/runs", solver=solver, run={"checkpoint_every_s": 1e-9})
    save = CheckpointStore.save

    def save_and_stop(self: CheckpointStore, progress: Any, tensors: Any) -> None:
        save(self, progress, tensors)
        while self.is_busy:  # the epochs are faster than the store
            time.sleep(0.01)
        whole = [key for key in store.list_keys("runs/job/checkpoints") if key.endswith("progress.json")]
        if max(whole, default="") > "epoch000002":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(CheckpointStore, "save", save_and_stop)
        with pytest.raises(lr.InterruptedRunError):
            lr.train(spec)
    assert json.loads(store.read("runs/job/result.json"))["status"] == "interrupted"
    kept = {key.split("/")[1] for key in store.list_keys("runs/job") if key.startswith("checkpoints/epoch")}
    assert 1 <= len(kept) <= 2
    assert max(kept) > "epoch000002"

    store.proxy.clear()
    continued = lr.train(spec)
    undisturbed = lr.train(spec_of(tmp_path / "data", tmp_path / "runs", solver=solver))
    np.testing.assert_array_equal(continued.model.coef_, undisturbed.model.coef_)
    assert store.proxy.count(rf"GET /lab/runs/job/checkpoints/{max(kept)}/state\.safetensors") == 1


def test_a_torn_checkpoint_falls_back_to_the_one_before(store: Store) -> None:
    import torch

    from tests.training.test_checkpoint import at

    checkpoints = CheckpointStore(ObjectPath.of(f"{store.uri}/checkpoints"), 2)
    for epoch in (1, 2, 3):
        checkpoints.save(at(epoch), {"weight": torch.full((1, 2), float(epoch))})
        checkpoints.close()
        checkpoints = CheckpointStore(ObjectPath.of(f"{store.uri}/checkpoints"), 2)
    assert {key.split("/")[0] for key in store.list_keys("checkpoints")} == {
        "epoch000002-step000000000",
        "epoch000003-step000000000",
    }
    newest = checkpoints.latest("mine")
    assert newest is not None
    assert newest[0].epoch == 3
    torn = ObjectPath.of(f"{store.uri}/checkpoints/epoch000003-step000000000/state.safetensors")
    torn.write_bytes(torn.read_bytes()[:-3])
    before = checkpoints.latest("mine")
    assert before is not None
    assert before[0].epoch == 2
    assert before[1]["weight"][0, 0] == 2.0


def test_an_exact_pass_continues(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.solvers.exact.test_checkpoint import PowerCutError, Reads

    write_parts(tmp_path / "data", [3000], row_group_size=200)
    spec = spec_of(
        tmp_path / "data",
        f"{store.uri}/runs",
        solver={"name": "exact"},
        scaling={"virtual_shards": 3},
        run={"checkpoint_every_s": 1e-9, "max_failures": 0},
    )
    reads = Reads(monkeypatch)
    whole = lr.train(spec, {"name": "whole"})
    reads.seen, reads.fail_at = [], 9
    with pytest.raises((lr.LinregDistError, PowerCutError)):
        lr.train(spec)
    assert any(key.startswith("checkpoints/moments/lane-") for key in store.list_keys("runs/job"))
    before, reads.seen, reads.fail_at = set(reads.seen), [], None
    run = lr.train(spec)
    assert len(reads.seen) < 15
    assert before | set(reads.seen) == set(range(15))
    np.testing.assert_array_equal(run.model.coef_, whole.model.coef_)
    assert not any(key.startswith("checkpoints/moments") for key in store.list_keys("runs/job"))


def test_update_reads_new_files_only(tmp_path: Path, store: Store) -> None:
    write_parts(tmp_path / "data", [900, 800], seed=0)
    data = store.upload(tmp_path / "data", "data")
    spec = spec_of(data, f"{store.uri}/runs", solver={"name": "exact"})
    lr.train(spec)
    write_parts(tmp_path / "more", [500], seed=7)
    (tmp_path / "more" / "part-0.parquet").rename(tmp_path / "data" / "part-7.parquet")
    store.upload(tmp_path / "data", "data")
    store.proxy.clear()
    updated = lr.train(spec, update=f"{store.uri}/runs/job")
    assert updated.result["update"]["rows"] == 500
    assert updated.result["update"]["from"] == f"{store.uri}/runs/job"
    assert "history/0001/result.json" in store.list_keys("runs/job")
    once = lr.train(spec, {"name": "once"})
    np.testing.assert_allclose(updated.model.coef_, once.model.coef_, rtol=1e-12)
    assert lr.train(spec, update=f"{store.uri}/runs/job").already_finished


def test_statistics_on_s3(tmp_path: Path, store: Store) -> None:
    for name, seed in (("a", 0), ("b", 1)):
        write_parts(tmp_path / name, [700], seed=seed)
        lr.train(spec_of(tmp_path / name, f"{store.uri}/runs", solver={"name": "exact"}), {"name": name})
    both = merge_statistics(
        [f"{store.uri}/runs/a", f"{store.uri}/runs/b/statistics.safetensors"], f"{store.uri}/both.safetensors"
    )
    assert open_statistics(f"{store.uri}/both.safetensors").moments.n == both.moments.n
    model = solve_statistics(f"{store.uri}/both.safetensors", {"model.l2": 0.1})
    model.save(f"{store.uri}/ridge")
    np.testing.assert_array_equal(lr.LinearModel.load(f"{store.uri}/ridge").coef_, model.coef_)
    with pytest.raises(lr.DataError, match=r"no statistics at s3://lab/nothing"):
        open_statistics(f"{store.uri}/nothing")


def test_the_verbs_take_uris(tmp_path: Path, store: Store, data: str, invoke: Invoke) -> None:
    (tmp_path / "job.yaml").write_text(
        f"data: {{path: '{data}', target: y}}\nrun: {{storage_path: '{store.uri}/runs'}}\n"
    )
    done = json.loads(invoke("train", str(tmp_path / "job.yaml"), "--json"))
    assert done["model"] == f"{store.uri}/runs/job/model"
    shown = json.loads(invoke("show", f"{store.uri}/runs/job", "--json"))
    assert [c["feature"] for c in shown["coefficients"]] == ["x0", "x1", "x2"]
    measured = json.loads(invoke("evaluate", f"{store.uri}/runs/job/model", "--data", data, "--json"))
    assert measured["rows"] == 2934
    assert json.loads(invoke("inspect", data, "--json"))["rows"] == 2934
    missing = f"{store.uri}/no/such/run"
    invoke("show", missing, code=2)
    assert f"no model at {missing}" in invoke.errors


@pytest.mark.parametrize("keep", [(), ("--keep", "y")])
def test_predictions_on_s3_are_those_on_disk(
    tmp_path: Path, store: Store, data: str, invoke: Invoke, keep: tuple[str, ...]
) -> None:
    lr.train(spec_of(data, f"{store.uri}/runs"))
    scoring = ("predict", f"{store.uri}/runs/job", "--data", data, *keep)
    assert json.loads(invoke(*scoring, "--output", f"{store.uri}/scores", "--json"))["files"] == 4
    invoke(*scoring, "--output", str(tmp_path / "scores"))
    for number, rows in enumerate([1700, 1, 333, 900]):
        here = pq.read_table(tmp_path / "scores" / f"part-{number}.parquet")
        assert here.num_rows == rows
        with store.direct.open_input_file(f"lab/scores/part-{number}.parquet") as file:
            assert pq.read_table(file).equals(here)
    invoke(*scoring, "--output", f"{store.uri}/scores", code=2)
    assert "s3://lab/scores/part-0.parquet exists already (4 of 4 files)" in invoke.errors
    invoke(*scoring, "--output", f"{store.uri}/scores", "--overwrite")


def test_a_prediction_that_fails_leaves_no_file(tmp_path: Path, store: Store, data: str) -> None:
    import pyarrow as pa

    run = lr.train(spec_of(data, f"{store.uri}/runs"))
    hole = pa.table({name: pa.array([1.0, None] * 300, pa.float32()) for name in ("x0", "x1", "x2", "y")})
    (tmp_path / "holes").mkdir()
    pq.write_table(pa.table({n: [1.0] for n in hole.column_names}), tmp_path / "holes" / "a.parquet")
    pq.write_table(hole, tmp_path / "holes" / "b.parquet")
    with pytest.raises(lr.DataError, match="300 null"):
        predict(run.path, str(tmp_path / "holes"), f"{store.uri}/scores")
    # What is finished stays, with the marker by which the same command goes on.
    assert store.list_keys("scores") <= {"a.parquet", ".linreg_dist-predict"}


def test_globs_and_hive_folders_on_s3(tmp_path: Path, store: Store) -> None:
    for month in (1, 2):
        write_parts(tmp_path / "data" / f"month={month}", [400], seed=month)
    data = store.upload(tmp_path / "data", "data")
    run = lr.train(spec_of(f"{data}/*/*.parquet", f"{store.uri}/runs"))
    assert run.model.feature_names_in_.tolist() == ["x0", "x1", "x2", "month"]
    query = f"?endpoint_override={store.proxy.url}"
    other = lr.train(spec_of(f"{data}/{query}", f"{store.uri}/runs{query}"), {"name": "other"})
    np.testing.assert_array_equal(other.model.coef_, run.model.coef_)
    assert evaluate(other.path, f"{data}{query}").rows == 800
