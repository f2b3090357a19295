"""`show` of a run without a model says what became of it, and how to go on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from linreg_dist.errors import RunFailedError, RunInUseError, SpecError
from linreg_dist.run.lock.hold import hold_run
from linreg_dist.run.state import load_model, timing_of
from linreg_dist.verbs.train import train
from tests.parquet import linear_columns, write_parquet

TICK = {"progress": 0.38, "phase": "epoch 3 of 12", "eta_s": 3.3}
STANDING = "(epoch 3 of 12, 38 %, 3.3 s left)"


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    path = write_parquet(tmp_path / "a.parquet", linear_columns(50, 2))
    return {
        "name": "job",
        "data": {"path": str(path), "target": "y"},
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run's folder as it is before the run has ended."""
    path = tmp_path / "runs" / "job"
    path.mkdir(parents=True)
    (path / "job.yaml").write_text("version: 1\n")
    (path / "metrics.jsonl").write_text(json.dumps({"epoch": 1}) + "\n" + json.dumps(TICK) + "\n" + "{")
    return path


def end(folder: Path, status: str, message: str) -> None:
    error = {"type": "RunFailedError", "message": message, "exit_code": 1}
    (folder / "result.json").write_text(json.dumps({"status": status, "name": "job", "error": error}))


def test_a_run_in_progress_is_named_with_its_driver_and_how_far_it_is(folder: Path) -> None:
    with hold_run(folder), pytest.raises(RunInUseError) as raised:
        load_model(folder)
    told = str(raised.value)
    assert (
        "is in progress and has no model yet (epoch 3 of 12, 38 %, 3.3 s left). It is run by process " in told
    )
    assert raised.value.exit_code == 1


@pytest.mark.parametrize("below", ["", "model"])
def test_an_interrupted_run_says_how_to_go_on(folder: Path, below: str) -> None:
    end(folder, "interrupted", "stopped by an interrupt")
    with pytest.raises(RunFailedError) as raised:
        load_model(folder / below)
    told = str(raised.value)
    assert (
        "was interrupted and has no model (epoch 3 of 12, 38 %, 3.3 s left): stopped by an interrupt" in told
    )
    assert told.endswith(f"linreg-dist train {folder}/job.yaml")
    assert raised.value.exit_code == 1


def test_a_failed_run_says_why(folder: Path) -> None:
    end(folder, "failed", "training diverged")
    with pytest.raises(RunFailedError, match=r"has failed and has no model: training diverged\n.* train "):
        load_model(folder)


def test_a_run_that_was_killed_says_that_it_left_no_result(folder: Path) -> None:
    with pytest.raises(RunFailedError, match="ended without a result, as one that is killed does"):
        load_model(folder)


def test_a_folder_that_is_no_run_and_a_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="no model at"):
        load_model(tmp_path)
    with pytest.raises(SpecError, match="no model at"):
        load_model(tmp_path / "missing")
    file = tmp_path / "e6.yaml"
    file.write_text("")
    with pytest.raises(SpecError, match=r"e6.yaml is a file; expected the folder of a run or of a model"):
        load_model(file)


def test_a_run_that_has_succeeded_has_a_model_and_its_seconds(spec: dict[str, Any], tmp_path: Path) -> None:
    run = train(spec)
    assert load_model(tmp_path / "runs/job").targets == ("y",)
    for place in (run.path, tmp_path / "runs/job/model"):
        timing = timing_of(place)
        assert timing is not None
        assert timing.total_s is not None
    assert timing_of(tmp_path) is None
