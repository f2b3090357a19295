"""Tables of every shape: the rows that we read are those that Polars and the formats' own readers find."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import write_deltalake
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.table import StaticTable
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType, LongType

from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.source.manifest import Manifest, read_manifest
from tests.lakehouse import IcebergLake, Lake, make_delta, make_iceberg, random_rows

_UTC = dt.UTC
ODD_TEXTS = ["plain", "b c/ä=1", "100%25", "a+b&c?d#e", "ü\u2028x", "__x", "'\"\\", "1", "true", "日本"]
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "int32": (pa.int32(), [-3, 0, 2**31 - 1, None]),
    "int64": (pa.int64(), [-(2**62), 7, None]),
    "double": (pa.float64(), [-1.5, 2.0**60, None]),
    "bool": (pa.bool_(), [True, False, None]),
    "date": (pa.date32(), [dt.date(1969, 12, 31), dt.date(2026, 11, 27), None]),
    "timestamp": (
        pa.timestamp("us", "UTC"),
        [
            dt.datetime(2026, 11, 27, 6, 30, 0, 123456, _UTC),
            dt.datetime(1969, 12, 31, 23, 59, 59, tzinfo=_UTC),
            None,
        ],
    ),
    "timestamp without a zone": (pa.timestamp("us"), [dt.datetime(2026, 11, 27, 6, 30, 0, 5), None]),
    "decimal": (pa.decimal128(12, 3), [Decimal("12.345"), Decimal("1000000.000"), None]),
    "text": (pa.string(), [*ODD_TEXTS, None]),
}


def ours(manifest: Manifest) -> list[dict[str, Any]]:
    found = []
    for group in manifest.row_groups:
        table = RowGroupReader(manifest, manifest.schema.names).read(group)
        assert table.num_rows == group.num_rows
        found += table.to_pylist()
    return in_order(found)


def in_order(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    plain = [{key: _plain(value) for key, value in sorted(row.items())} for row in rows]
    return sorted(plain, key=repr)


def _plain(value: Any) -> Any:
    if isinstance(value, dt.datetime) and value.tzinfo:
        return value.astimezone(_UTC).replace(tzinfo=None)
    return None if isinstance(value, float) and math.isnan(value) else value


def of_polars(lake: Lake, version: int | None = None) -> list[dict[str, Any]]:
    if isinstance(lake, IcebergLake):
        table = StaticTable.from_metadata(lake.table.metadata_location)
        return in_order(pl.scan_iceberg(table, snapshot_id=version).collect().to_dicts())
    return in_order(pl.scan_delta(lake.path, version=version).collect().to_dicts())


@pytest.fixture(autouse=True)
def _plan_by_pyiceberg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_ICEBERG_PLANNER", "pyiceberg")


@pytest.fixture(params=[make_delta, make_iceberg])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    made: Lake = request.param(tmp_path / "lake")
    return made


def check(lake: Lake, version: int | None = None) -> Manifest:
    """Hold our rows of a snapshot against Polars and the format's own reader."""
    manifest = read_manifest([lake.path], version=version)
    rows = ours(manifest)
    assert rows == of_polars(lake, version)
    assert rows == in_order(lake.rows(version).to_pylist())
    return manifest


@pytest.mark.parametrize("kind", VALUES)
def test_delta_partitions_of_every_type(tmp_path: Path, kind: str) -> None:
    lake = make_delta(tmp_path / "lake")
    lake.partition_by = ["key"]
    type_, values = VALUES[kind]
    rows = pa.table({"x": np.arange(2.0 * len(values)), "key": pa.array([*values, *values], type_)})
    lake.append(rows)
    manifest = check(lake)
    assert manifest.schema.field("key").type in (type_, pa.string(), pa.large_string(), pa.string_view())
    lake.delete("x < 2")
    check(lake)
    check(lake, 0)


@pytest.mark.parametrize("kind", [kind for kind in VALUES if kind != "double"])
def test_iceberg_partitions_of_every_type(tmp_path: Path, kind: str) -> None:
    lake = make_iceberg(tmp_path / "lake")
    type_, values = VALUES[kind]
    rows = pa.table({"x": np.arange(2.0 * len(values)), "key": pa.array([*values, *values], type_)})
    lake.append(rows.slice(0, 1))
    with lake.table.update_spec() as update:
        update.add_identity("key")
    lake.append(rows.slice(1))
    check(lake)
    lake.delete("x < 2")
    check(lake)
    check(lake, lake.versions()[0])


@pytest.mark.parametrize("kind", [kind for kind in VALUES if kind != "double"])
def test_iceberg_files_that_lack_their_key_take_it_from_the_metadata(tmp_path: Path, kind: str) -> None:
    lake = make_iceberg(tmp_path / "lake")
    type_, values = VALUES[kind]
    lake.append(pa.table({"x": [-1.0], "key": pa.array(values[:1], type_)}))
    with lake.table.update_spec() as update:
        update.add_identity("key")
    (task,) = lake.table.scan().plan_files()
    schema = pq.read_schema(lake.path + task.file.file_path.split(lake.path)[1])
    schema = pa.schema([schema.field("x")])
    for number, value in enumerate(values):
        _add_without_key(lake, number, value, type_, schema)
    rows = ours(read_manifest([lake.path]))
    expected = [-1.0, *np.arange(float(len(values)))], [values[0], *values]
    assert rows == in_order([{"x": x, "key": key} for x, key in zip(*expected, strict=True)])


def _add_without_key(
    lake: IcebergLake, number: int, value: Any, type_: pa.DataType, schema: pa.Schema
) -> None:
    """Commit a file as a migration from Hive does: the partition column is only in the metadata."""
    path = f"{lake.path}/data/hive-{number}.parquet"
    pq.write_table(pa.table({"x": [float(number)]}, schema=schema), path)
    stored = value
    if value is not None and pa.types.is_date(type_):
        stored = (value - dt.date(1970, 1, 1)).days
    elif value is not None and pa.types.is_timestamp(type_):
        start = dt.datetime(1970, 1, 1, tzinfo=value.tzinfo)
        stored = (value - start) // dt.timedelta(microseconds=1)
    file = DataFile.from_args(
        _table_format_version=2,
        content=DataFileContent.DATA,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(stored),
        record_count=1,
        file_size_in_bytes=Path(path).stat().st_size,
        column_sizes={},
        value_counts={},
        null_value_counts={},
        nan_value_counts={},
        lower_bounds={},
        upper_bounds={},
    )
    file.spec_id = lake.table.spec().spec_id
    with lake.table.transaction() as transaction, transaction.update_snapshot().fast_append() as appended:
        appended.append_data_file(file)


def test_promoted_types_are_those_of_the_table_in_every_file(tmp_path: Path) -> None:
    lake = make_iceberg(tmp_path / "lake")
    lake.append(
        pa.table(
            {"i": pa.array([1, None], pa.int32()), "f": pa.array([0.1, 2.5], pa.float32()), "y": [1.0, 2.0]}
        )
    )
    with lake.table.update_schema() as update:
        update.update_column("i", LongType())
        update.update_column("f", DoubleType())
    before = read_manifest([lake.path])
    assert before.schema.field("f").type == pa.float32()  # the snapshot is older than the promotion
    lake.append(pa.table({"i": [2**40], "f": [0.1], "y": [3.0]}))
    manifest = check(lake)
    assert (manifest.schema.field("i").type, manifest.schema.field("f").type) == (pa.int64(), pa.float64())
    check(lake, lake.versions()[0])


def test_a_changed_partitioning_leaves_every_row_as_it_is(tmp_path: Path) -> None:
    lake = make_iceberg(tmp_path / "lake")
    lake.append(random_rows(10, 1))
    with lake.table.update_spec() as update:
        update.add_identity("part")
    lake.append(random_rows(10, 2))
    with lake.table.update_spec() as update:
        update.remove_field("part")
        update.add_identity("y")
    lake.append(random_rows(3, 4))
    check(lake)
    lake.delete("part = 1")
    check(lake)
    for version in lake.versions():
        check(lake, version)


def test_columns_that_come_and_go(lake: Lake) -> None:
    lake.append(random_rows(6, 1))
    lake.append(random_rows(6, 2).append_column("new", pa.array([1.0, None] * 3)))
    lake.append(random_rows(6, 3))
    manifest = check(lake)
    assert manifest.schema.names == ["a", "b", "y", "part", "new"]
    assert read_manifest([lake.path], version=lake.versions()[0]).schema.names == ["a", "b", "y", "part"]


def test_a_column_that_no_file_has_yet_is_left_out(tmp_path: Path) -> None:
    lake = make_iceberg(tmp_path / "lake")
    lake.append(random_rows(6, 1))
    with lake.table.update_schema() as update:
        update.add_column("later", DoubleType())
    lake.delete("a > 10.0 or y = 0.123")
    with lake.table.transaction() as transaction:
        transaction.append(random_rows(0, 2))  # a snapshot of the new schema
    assert "later" in lake.rows().schema.names
    assert "later" not in read_manifest([lake.path]).schema.names


_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 12), st.integers(0, 5)),
        st.tuples(
            st.just("delete"), st.sampled_from(["a > 0.5", "part = 1", "b < -2.0", "part = 2 and a < 0.0"])
        ),
        st.tuples(st.just("overwrite"), st.integers(1, 8), st.integers(6, 9)),
        st.tuples(st.just("widen"), st.integers(1, 5), st.integers(0, 2)),
    ),
    min_size=1,
    max_size=5,
)


@pytest.mark.parametrize("make", [make_delta, make_iceberg])
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=_STEPS)
def test_any_history_is_read_snapshot_by_snapshot(
    make: Callable[[Path], Lake], steps: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    lake = make(tmp_path_factory.mktemp("history") / "lake")
    lake.append(random_rows(7, 0))
    for name, *arguments in steps:
        if name == "append":
            lake.append(random_rows(*arguments))
        elif name == "overwrite":
            lake.overwrite(random_rows(*arguments))
        elif name == "delete":
            lake.delete(*arguments)
        else:
            count, number = arguments
            lake.append(random_rows(count, 20).append_column(f"new{number}", pa.array([0.5] * count)))
    for version in lake.versions():
        if lake.rows(version).num_rows:
            check(lake, version)


def test_text_keys_of_delta_folders_are_taken_literally(tmp_path: Path) -> None:
    rows = pa.table({"x": np.arange(float(len(ODD_TEXTS))), "key": ODD_TEXTS})
    write_deltalake(tmp_path / "t", rows, partition_by=["key"])
    manifest = read_manifest([str(tmp_path / "t")])
    assert sorted(file.partition["key"] for file in manifest.files) == sorted(ODD_TEXTS)
