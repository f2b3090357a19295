"""What is read before the first step is read once, also by a job that is killed and continued."""

from __future__ import annotations

import shutil
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from linreg_dist.data.reader import RowGroupReader
from linreg_dist.training import training
from tests.parquet import linear_columns, write_parquet

OFTEN = {"checkpoint_every_s": 1e-9}
GROUPS = 10


class PowerCutError(Exception):
    """What a test throws into the middle of a pass."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    columns = linear_columns(1000, 3)
    columns["colour"] = pa.array(["red", "green", "blue", "grey"] * 250)
    return write_parquet(tmp_path / "d" / "a.parquet", columns, row_group_size=100)


def job(solver: str = "sgd") -> dict[str, Any]:
    return {
        "solver": {"name": solver, "epochs": 2, "global_batch_size": 100, "early_stop": None},
        "scaling": {"memory_budget": 0, "disk_budget": 0},
        "run": OFTEN,
    }


def break_in(monkeypatch: pytest.MonkeyPatch, name: str, after: int) -> None:
    """Let a pass work on ``after`` row groups, and raise at the next."""
    real, numbers = getattr(training, name), count()

    class Breaking(real):  # type: ignore[misc,valid-type]
        @classmethod
        def of(cls, *arguments: Any) -> Any:
            if next(numbers) == after:
                raise PowerCutError
            return real.of(*arguments)

    monkeypatch.setattr(training, name, Breaking)


def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return a list that grows by every row group that is read from the file."""
    found: list[int] = []
    real = RowGroupReader._read_pieces

    def read(reader: Any, group: Any, pieces: Any) -> Any:
        found.append(group.index)
        return real(reader, group, pieces)

    monkeypatch.setattr(RowGroupReader, "_read_pieces", read)
    return found


def test_a_pass_that_was_interrupted_goes_on_where_it_was(path, train_here, monkeypatch) -> None:
    whole = train_here(path, name="whole", **job())
    with monkeypatch.context() as patch:
        break_in(patch, "BlockSummary", 7)
        with pytest.raises(PowerCutError):
            train_here(path, name="cut", **job())
    with monkeypatch.context() as patch:
        found = reads(patch)
        resumed = train_here(path, name="cut", **job())
    # One for a look at the data, what the first pass left (of four threads some were ahead), the second
    # look for the step size, two epochs and the metrics at the end.
    undisturbed = reads_of_undisturbed(path, train_here, monkeypatch)
    assert len(found) <= len(undisturbed) - GROUPS - 4, "no levels again, and few row groups for their sums"
    assert resumed.result["rows"] == whole.result["rows"]
    np.testing.assert_array_equal(resumed.model.coef_, whole.model.coef_)


def reads_of_undisturbed(path, train_here, monkeypatch) -> list[int]:
    with monkeypatch.context() as patch:
        found = reads(patch)
        train_here(path, name="counted", **job())
    return found


def test_files_that_are_torn_or_of_another_job_are_not_taken(path, train_here, monkeypatch) -> None:
    whole = train_here(path, name="whole", **job())
    with monkeypatch.context() as patch:
        break_in(patch, "BlockSummary", 7)
        with pytest.raises(PowerCutError):
            train_here(path, name="cut", **job())
    folder = whole.path.parent / "cut" / "checkpoints" / "first_pass"
    lanes = sorted(folder.glob("lane-*.json"))
    assert len(lanes) > 2
    lanes[0].write_text(lanes[0].read_text()[:-40])
    shutil.copy(lanes[1], lanes[2].with_name("lane-0011.json"))
    lanes[2].write_text(lanes[2].read_text().replace('"groups": 1', '"groups": 2'))
    (folder / "encoding.json").write_text("{}")
    resumed = train_here(path, name="cut", **job())
    assert resumed.result["rows"] == whole.result["rows"]
    np.testing.assert_array_equal(resumed.model.coef_, whole.model.coef_)


def test_a_finished_run_keeps_none_of_it(path, train_here) -> None:
    run = train_here(path, **job())
    assert not (run.path / "checkpoints" / "first_pass").exists()
