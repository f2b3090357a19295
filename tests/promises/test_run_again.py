"""The same name again: resume what was interrupted, report what is finished, refuse what differs."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from linreg_dist.errors import DataError, InterruptedRunError, SpecError
from linreg_dist.solvers import epochs
from linreg_dist.training.checkpoints.checkpoint import CheckpointStore
from linreg_dist.training.rows import sweep as sweep_module
from tests.parquet import linear_columns, write_parquet

OFTEN = {"checkpoint_every_s": 1e-9}
STEPS_PER_EPOCH = 10


class PowerCutError(Exception):
    """What a test throws into the middle of a step."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_parquet(tmp_path / "d" / "a.parquet", linear_columns(1000, 3), row_group_size=150)


def break_after(
    monkeypatch: pytest.MonkeyPatch, steps: int, error: type[BaseException] = PowerCutError
) -> None:
    """Let ``steps`` optimizer steps go through and raise in the one after."""
    real, numbers = sweep_module.sweep, count()

    def sweep(*arguments):
        if next(numbers) == steps:
            raise error
        return real(*arguments)

    monkeypatch.setattr(sweep_module, "sweep", sweep)


SOLVERS = {
    "sgd": {"name": "sgd", "momentum": 0.5},
    "adam": {"name": "adam", "schedule": "cosine"},
    "adamw": {"name": "adamw"},
    "rmsprop": {"name": "rmsprop"},
}


@pytest.mark.parametrize(
    ("name", "steps"),
    [("adam", 1), ("adam", 14), ("adam", 20), ("adam", 37), ("sgd", 14), ("adamw", 14), ("rmsprop", 14)],
)
def test_an_interrupted_run_ends_as_the_undisturbed_one(path, train_here, monkeypatch, name, steps):
    """In the first step, within an epoch, between two epochs and in the last one."""
    job = {
        "data": {"validation": {"method": "hash"}},
        "model": {"l2": 0.01},
        "solver": {**SOLVERS[name], "epochs": 4, "global_batch_size": 82, "early_stop": None},
        "run": OFTEN,
    }
    whole = train_here(path, name="whole", **job)
    assert whole.result["solver"]["steps_per_epoch"] == STEPS_PER_EPOCH
    with monkeypatch.context() as patch:
        break_after(patch, steps)
        with pytest.raises(PowerCutError):
            train_here(path, name="cut", **job)
    calls = count()
    real = sweep_module.sweep
    monkeypatch.setattr(sweep_module, "sweep", lambda *a: (next(calls), real(*a))[1])
    resumed = train_here(path, name="cut", **job)
    assert next(calls) == 4 * STEPS_PER_EPOCH - steps, "steps that were done are not done again"
    np.testing.assert_allclose(resumed.model.coef_, whole.model.coef_, rtol=1e-12)
    assert resumed.model.intercept_ == pytest.approx(whole.model.intercept_, rel=1e-12)

    def losses(run):
        lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
        return [(e["epoch"], e["train_mse"], e["validation_mse"]) for e in lines if "epoch" in e]

    assert losses(resumed) == losses(whole)
    assert resumed.result["solver"]["epochs"] == 4


def test_early_stopping_remembers_what_it_saw_before_the_interruption(path, train_here, monkeypatch):
    job = {
        "solver": {"name": "sgd", "epochs": 100, "global_batch_size": 1000, "shuffle": False},
        "run": OFTEN,
    }
    whole = train_here(path, name="whole", **job)
    epochs = whole.result["solver"]["epochs"]
    assert 4 < epochs < 100
    with monkeypatch.context() as patch:
        break_after(patch, epochs - 1)
        with pytest.raises(PowerCutError):
            train_here(path, name="cut", **job)
    resumed = train_here(path, name="cut", **job)
    assert resumed.result["solver"]["epochs"] == epochs
    assert resumed.model.coef_.tolist() == whole.model.coef_.tolist()


def test_checkpoints_come_by_time_also_when_epochs_are_shorter(path, train_here, monkeypatch):
    """A clock that ticks once per look: a checkpoint is due every 25 looks, an epoch has about ten."""
    ticks = count()
    clock = SimpleNamespace(monotonic=lambda: float(next(ticks)), perf_counter=epochs.time.perf_counter)
    monkeypatch.setattr(epochs, "time", clock)
    saved: list[tuple[int, int]] = []
    real = CheckpointStore.save

    def save(store, progress, tensors):
        saved.append((progress.epoch, progress.step))
        real(store, progress, tensors)

    monkeypatch.setattr(CheckpointStore, "save", save)
    solver = {"name": "sgd", "epochs": 12, "global_batch_size": 100, "early_stop": None}
    train_here(path, solver=solver, run={"checkpoint_every_s": 25.0})
    assert 4 <= len(saved) <= 5
    assert len({epoch for epoch, _ in saved}) == len(saved)


def test_only_so_many_checkpoints_are_kept(path, train_here):
    run = train_here(path, solver={"name": "sgd", "epochs": 2}, run={**OFTEN, "num_to_keep": 3})
    kept = list((run.path / "checkpoints").glob("epoch*"))
    assert len(kept) == 3


def test_an_interrupt_is_recorded_and_can_be_continued(path, train_here, monkeypatch):
    solver = {"name": "sgd", "epochs": 3}
    with monkeypatch.context() as patch:
        break_after(patch, 5, KeyboardInterrupt)
        with pytest.raises(InterruptedRunError, match="start the same job again to continue"):
            train_here(path, solver=solver, run=OFTEN)
    folder = path.parent.parent / "runs" / "job"
    assert json.loads((folder / "result.json").read_text())["status"] == "interrupted"
    assert train_here(path, solver=solver, run=OFTEN).result["status"] == "succeeded"
    assert json.loads((folder / "result.json").read_text())["status"] == "succeeded"


def test_a_finished_run_is_reported_and_not_repeated(path, train_here, monkeypatch):
    first = train_here(path, solver={"name": "sgd"})
    monkeypatch.setattr(sweep_module, "sweep", None)
    again = train_here(path, solver={"name": "sgd"})
    assert (first.already_finished, again.already_finished) == (False, True)
    assert again.result == first.result
    assert again.model.coef_.tolist() == first.model.coef_.tolist()


def test_where_it_runs_may_change_for_a_finished_run(path, train_here):
    train_here(path, solver={"name": "sgd"})
    again = train_here(path, solver={"name": "sgd"}, run={"max_failures": 9}, scaling={"num_workers": 2})
    assert again.already_finished


def test_fresh_starts_over(path, train_here):
    first = train_here(path, solver={"name": "sgd"})
    left_over = first.path / "checkpoints" / "epoch000099-step000000000"
    left_over.mkdir()
    (left_over / "progress.json").write_text("left over")
    again = train_here(path, solver={"name": "sgd"}, fresh=True)
    assert not again.already_finished
    assert not left_over.exists()
    assert again.model.coef_.tolist() == first.model.coef_.tolist()


def test_fresh_does_not_delete_a_folder_that_is_no_run(path, train_here, tmp_path):
    precious = tmp_path / "runs" / "job" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    with pytest.raises(SpecError, match=r"is not a run's folder.*will not delete it"):
        train_here(path, solver={"name": "sgd"}, fresh=True)
    assert precious.read_text() == "years of work"


def test_another_spec_under_the_same_name_is_refused_with_the_difference(path, train_here):
    train_here(path, solver={"name": "sgd"})
    with pytest.raises(SpecError) as raised:
        train_here(path, solver={"name": "sgd"}, model={"l2": 0.5})
    message = str(raised.value)
    assert "holds a run of another spec" in message
    assert "model.l2: 0.0 -> 0.5" in message
    assert "--fresh" in message
    assert not train_here(path, solver={"name": "sgd"}, model={"l2": 0.5}, fresh=True).already_finished


def test_other_data_under_the_same_name_is_refused(path, train_here):
    train_here(path.parent, solver={"name": "sgd"})
    write_parquet(path.parent / "b.parquet", linear_columns(10, 3, seed=1))
    with pytest.raises(SpecError, match=r"same spec on other data: files were added, removed or rewritten"):
        train_here(path.parent, solver={"name": "sgd"})


def test_a_run_that_failed_before_it_began_can_be_started_again(tmp_path, train_here):
    path = write_parquet(tmp_path / "a.parquet", linear_columns(100, 2))
    with pytest.raises(DataError, match="nowhere"):
        train_here(path, data={"target": "nowhere"})
    failed = json.loads((tmp_path / "runs" / "job" / "result.json").read_text())
    assert failed["status"] == "failed"
    assert failed["error"]["type"] == "DataError"
    assert train_here(path, fresh=True).result["status"] == "succeeded"
