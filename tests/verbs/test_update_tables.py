"""``train --update`` on a table adds what a newer snapshot has and takes away what it has no more."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import linreg_dist.data.reader
from linreg_dist.errors import DataError
from linreg_dist.run.finished_run import Run
from linreg_dist.verbs.stats import merge_statistics, open_statistics
from linreg_dist.verbs.train import train
from tests.delta_log import write_vectors
from tests.lakehouse import Lake, make_delta, make_iceberg, random_rows


@pytest.fixture(params=[make_delta, make_iceberg])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A table of three files."""
    made: Lake = request.param(tmp_path / "lake")
    for seed in range(3):
        made.append(random_rows(60, seed))
    return made


def _spec(lake: Lake, name: str = "job", **sections: Any) -> dict[str, Any]:
    data = {"path": lake.path, "target": "y", "features": ["a", "b"], **sections.pop("data", {})}
    runs = {"storage_path": str(Path(lake.path).parent / "runs")}
    return {"name": name, "data": data, "run": runs, "solver": {"name": "exact"}, **sections}


def assert_same(run: Run, fresh: Run) -> None:
    np.testing.assert_allclose(run.model.coef_, fresh.model.coef_, rtol=1e-10)
    np.testing.assert_allclose(run.model.intercept_, fresh.model.intercept_, rtol=1e-10)
    assert run.result["rows"] == fresh.result["rows"]
    assert run.result["data"]["version"] == fresh.result["data"]["version"]
    for split in ("train", "validation"):
        for key in ("mse", "r2") if fresh.metrics[split] else ():
            assert run.metrics[split][key] == pytest.approx(fresh.metrics[split][key], rel=1e-9)
    assert {piece["file"] for piece in open_statistics(run.path).consumed} == {
        piece["file"] for piece in open_statistics(fresh.path).consumed
    }


def _many_snapshots(lake: Lake) -> None:
    lake.append(random_rows(30, 10))
    lake.delete("a < -1.0")
    lake.append(random_rows(5, 11))
    lake.delete("part = 2")


CHANGES: dict[str, Callable[[Lake], None]] = {
    "rows are added": lambda lake: lake.append(random_rows(30, 9)),
    "a whole file is deleted": lambda lake: lake.delete("part = 1"),
    "rows of one file are deleted": lambda lake: lake.delete("part = 1 and b > 0.0"),
    "rows of every file are deleted": lambda lake: lake.delete("b > 4.0"),
    "several snapshots go by": _many_snapshots,
    "the same rows are added again": lambda lake: lake.append(random_rows(60, 0)),
    "a column is added": lambda lake: lake.append(
        random_rows(30, 12).append_column("extra", pa.array(np.arange(30.0)))
    ),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["job", "next"])
def test_an_update_gives_a_fresh_fit_of_the_new_snapshot(lake: Lake, change: str, name: str) -> None:
    base = train(_spec(lake))
    CHANGES[change](lake)
    run = train(_spec(lake, name), update=base.path)
    fresh = train(_spec(lake, "fresh"))
    assert_same(run, fresh)
    assert run.result["rows"]["train"] + run.result["rows"]["validation"] == lake.rows().num_rows
    assert run.result["data"]["version"] == lake.versions()[-1]
    again = train(_spec(lake, name), update=run.path)
    assert again.already_finished


def test_only_the_files_that_differ_are_read(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    base = train(_spec(lake))
    lake.delete("part = 1")
    lake.append(random_rows(20, 30))
    read: set[str] = set()
    read_pieces = linreg_dist.data.reader.RowGroupReader._read_pieces

    def note(self: Any, group: Any, pieces: Any) -> Any:
        read.add(self._manifest.files[group.file].key)
        return read_pieces(self, group, pieces)

    monkeypatch.setattr(linreg_dist.data.reader.RowGroupReader, "_read_pieces", note)
    update = train(_spec(lake), update=base.path).result["update"]
    assert len(read) == 2
    assert (update["files"], update["rows"]) == (1, 20)
    assert (update["removed_files"], update["removed_rows"]) == (1, 60)


def test_weights_folds_categories_and_held_out_rows_are_taken_away_too(tmp_path: Path) -> None:
    lake = make_delta(tmp_path / "lake")
    for seed in range(5):
        rows = random_rows(80, seed)
        rng = np.random.default_rng(100 + seed)
        rows = rows.append_column("w", pa.array(rng.uniform(0.5, 2.0, 80)))
        lake.append(rows.append_column("c", pa.array(rng.choice(["x", "y", "z"], 80))))
    more = {
        "data": {"features": ["a", "b", "c"], "weight": "w", "filter": [["a", "<", 1.5]]},
        "tune": {"l2": [0.01, 0.1], "folds": 3},
    }
    base = train(_spec(lake, **more))
    lake.delete("part = 1 or b > 4.5")
    assert_same(train(_spec(lake, **more), update=base.path), train(_spec(lake, "fresh", **more)))


def test_going_back_to_an_older_snapshot_is_an_update_as_well(lake: Lake) -> None:
    old = lake.versions()[0]
    base = train(_spec(lake))
    spec = {"data": {"version": old}}
    assert_same(train(_spec(lake, **spec), update=base.path), train(_spec(lake, "fresh", **spec)))


def test_where_nothing_of_before_is_left_all_is_read(lake: Lake) -> None:
    base = train(_spec(lake))
    lake.overwrite(random_rows(50, 40))
    run = train(_spec(lake), update=base.path)
    assert_same(run, train(_spec(lake, "fresh")))
    assert run.result.get("update") is None
    assert run.model.details.inference.reason is None  # all rows were read: nothing is missing


def test_merged_statistics_find_the_files_of_each_snapshot(lake: Lake, tmp_path: Path) -> None:
    monday = train(_spec(lake, "monday", data={"filter": []}))
    lake.overwrite(random_rows(50, 41))
    tuesday = train(_spec(lake, "tuesday"))
    merged = tmp_path / "merged.safetensors"
    merge_statistics([monday.path, tuesday.path], merged)
    assert_same(train(_spec(lake), update=merged), tuesday)


def test_files_that_a_vacuum_took_are_named_with_what_to_do(lake: Lake) -> None:
    base = train(_spec(lake))
    lake.delete("part = 1")
    gone = {piece["file"] for piece in open_statistics(base.path).consumed} - {
        piece["file"] for piece in open_statistics(train(_spec(lake, "fresh")).path).consumed
    }
    for key in gone:
        (Path(lake.path) / key).unlink()
    with pytest.raises(
        DataError, match=r"1 file\(s\).*are gone.*cannot be read any more.*train again"
    ) as info:
        train(_spec(lake), update=base.path)
    assert "\n" not in str(info.value)
    assert json.loads((base.path / "result.json").read_text()) == base.result


def test_a_snapshot_that_has_expired_is_named(tmp_path: Path) -> None:
    lake = make_iceberg(tmp_path / "lake")
    lake.append(random_rows(60, 1))
    lake.append(random_rows(60, 2))
    base = train(_spec(lake))
    expired = lake.versions()[-1]
    lake.delete("part = 1")
    lake.table.maintenance.expire_snapshots().by_id(expired).commit()
    with pytest.raises(DataError, match=rf"has no snapshot {expired}.*train again without --update"):
        train(_spec(lake), update=base.path)


def test_a_table_that_has_moved_is_still_the_same(tmp_path: Path) -> None:
    lake = make_delta(tmp_path / "lake")
    for seed in range(3):
        lake.append(random_rows(60, seed))
    base = train(_spec(lake))
    shutil.move(lake.path, tmp_path / "moved")
    lake.path = str(tmp_path / "moved")
    lake.delete("part = 1")
    assert_same(train(_spec(lake), update=base.path), train(_spec(lake, "fresh")))


def test_deletion_vectors_that_changed_replace_the_file_as_it_was(tmp_path: Path) -> None:
    lake = make_delta(tmp_path / "lake")
    first, second = (random_rows(count, count).drop_columns(["part"]) for count in (40, 30))
    write_vectors(Path(lake.path), {"a.parquet": (first, [0, 7, 8]), "b.parquet": (second, [])})
    base = train(_spec(lake))
    write_vectors(Path(lake.path), {"a.parquet": (first, [0, 7, 8, 20, 39])}, version=1)
    run = train(_spec(lake), update=base.path)
    assert_same(run, train(_spec(lake, "fresh")))
    update = run.result["update"]
    assert (update["rows"], update["removed_rows"]) == (35, 37)
    assert run.result["rows"]["train"] + run.result["rows"]["validation"] == 65
