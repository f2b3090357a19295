"""An attempt that left nothing does not stand in the way; whatever can still be used does."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import linreg_dist as lr
from linreg_dist.run.finished_run import Run
from tests.parquet import linear_columns, write_parquet

REPLACED = "left neither a model nor a checkpoint; it is replaced"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    columns = linear_columns()
    columns["x0"][7] = float("nan")
    return write_parquet(tmp_path / "d" / "a.parquet", columns)


def test_a_corrected_spec_of_the_same_name_runs_and_says_what_it_replaces(
    path: Path, train_here: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(lr.DataError, match="x0"):
        train_here(path)
    run = train_here(path, data={"missing": "drop"})
    assert run.document.status == "succeeded"
    assert caplog.text.count(REPLACED) == 1
    assert "missing: drop" in (Path(str(run.path)) / "job.yaml").read_text()


def test_corrected_data_under_the_same_spec_runs(
    path: Path, train_here: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(lr.DataError):
        train_here(path)
    write_parquet(path, linear_columns(num_rows=399))
    assert train_here(path).document.status == "succeeded"
    assert REPLACED in caplog.text


def test_the_same_spec_again_replaces_nothing(
    path: Path, train_here: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        with pytest.raises(lr.DataError):
            train_here(path)
    assert REPLACED not in caplog.text


@pytest.mark.parametrize(
    "left",
    [
        "model/config.json",
        "statistics.safetensors",
        "checkpoints/epoch000001-step000000001/x",
        "history/0001/x",
    ],
)
def test_whatever_is_left_keeps_the_refusal(path: Path, train_here: Callable[..., Run], left: str) -> None:
    with pytest.raises(lr.DataError):
        train_here(path)
    folder = path.parents[1] / "runs" / "job"
    (folder / left).parent.mkdir(parents=True, exist_ok=True)
    (folder / left).touch()
    with pytest.raises(lr.SpecError, match="holds a run of another spec"):
        train_here(path, data={"missing": "drop"})
    assert (folder / left).exists()


def test_a_run_that_succeeded_keeps_its_name_even_without_its_files(
    path: Path, train_here: Callable[..., Run]
) -> None:
    run = train_here(path, data={"missing": "drop"})
    folder = Path(str(run.path))
    for part in ("model", "checkpoints"):
        shutil.rmtree(folder / part)
    (folder / "statistics.safetensors").unlink()
    with pytest.raises(lr.SpecError, match="holds a run of another spec"):
        train_here(path, data={"missing": "mean"})


def test_an_attempt_that_was_killed_before_its_first_checkpoint_is_replaced_too(
    path: Path, train_here: Callable[..., Run], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(lr.DataError):
        train_here(path)
    folder = path.parents[1] / "runs" / "job"
    (folder / "result.json").unlink()
    for part in ("moments", "first_pass"):
        shutil.rmtree(folder / "checkpoints" / part, ignore_errors=True)
    assert train_here(path, data={"missing": "drop"}).document.status == "succeeded"
    assert REPLACED in caplog.text
