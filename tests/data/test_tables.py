"""Delta and Iceberg tables: the rows of one snapshot, held against the formats' own readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestWriterV2,
)
from pyiceberg.schema import Schema
from pyiceberg.table import StaticTable
from pyiceberg.table import Table as IcebergTable
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles
from pyiceberg.typedef import Record
from pyiceberg.types import DoubleType

from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.source.manifest import Manifest, read_manifest
from linreg_dist.errors import DataError, SpecError
from tests.delta_log import add, field, metadata, write_log, write_vectors


def rows(start: int, count: int, month: str = "jan") -> pa.Table:
    x = np.arange(start, start + count, dtype=float)
    return pa.table({"x": x, "y": 2 * x + 1, "month": [month] * count})


def read(manifest: Manifest, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the rows that our reader finds, sorted; a column that a file lacks is None there."""
    found: list[tuple[Any, ...]] = []
    for group in manifest.row_groups:
        file = manifest.files[group.file]
        have = [name for name in names if name in file.schema.names or name in file.partition]
        table = RowGroupReader(manifest, have).read(group)
        assert table.num_rows == group.num_rows
        found += [tuple(row.get(name) for name in names) for row in table.to_pylist()]
    return sorted(found, key=repr)


def as_rows(table: Any, names: Sequence[str]) -> list[tuple[Any, ...]]:
    return sorted((tuple(row[name] for name in names) for row in pa.table(table).to_pylist()), key=repr)


def of_delta(path: Path, names: Sequence[str], version: int | None = None) -> list[tuple[Any, ...]]:
    return as_rows(DeltaTable(path, version=version).to_pyarrow_table(), names)


class TestDelta:
    def test_only_the_live_files_of_the_newest_version_are_read(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path, rows(0, 10))
        write_deltalake(tmp_path, rows(10, 5), mode="append")
        DeltaTable(tmp_path).delete("x < 3")
        manifest = read_manifest([str(tmp_path)])
        assert read(manifest, "xy") == of_delta(tmp_path, "xy")
        assert manifest.num_rows == 12
        (table,) = manifest.tables
        assert (table.format, table.path, table.version) == ("delta", str(tmp_path), 2)

    @pytest.mark.parametrize("version", [0, 1, 2, "1"])
    def test_an_older_version_is_read_by_its_number(self, tmp_path: Path, version: int | str) -> None:
        write_deltalake(tmp_path, rows(0, 4))
        write_deltalake(tmp_path, rows(4, 4), mode="append")
        write_deltalake(tmp_path, rows(100, 2), mode="overwrite")
        manifest = read_manifest([str(tmp_path)], version=version)
        assert read(manifest, "xy") == of_delta(tmp_path, "xy", int(version))

    def test_a_time_takes_the_version_of_that_time(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path, rows(0, 4))
        write_deltalake(tmp_path, rows(4, 4), mode="append")
        first = DeltaTable(tmp_path).history()[-1]["timestamp"]
        time = str(np.datetime64(first, "ms")) + "Z"
        assert read_manifest([str(tmp_path)], version=time).tables[0].version in (0, 1)
        assert read_manifest([str(tmp_path)], version="2100-01-01").tables[0].version == 1
        with pytest.raises(DataError, match="has no version at 2001-01-01"):
            read_manifest([str(tmp_path)], version="2001-01-01")

    def test_partition_values_come_from_the_log_with_their_types(self, tmp_path: Path) -> None:
        for month, day in (("jan", 1), ("b c/ä=1", 2), (None, 3)):
            table = rows(day, 2).set_column(2, "month", pa.array([month] * 2, pa.string()))
            table = table.append_column("day", pa.array([day] * 2, pa.int32()))
            write_deltalake(tmp_path, table, mode="append", partition_by=["month", "day"])
        manifest = read_manifest([str(tmp_path)])
        names = ["x", "y", "month", "day"]
        assert read(manifest, names) == of_delta(tmp_path, names)
        assert manifest.schema.field("day").type == pa.int32()

    def test_a_column_added_later_is_missing_in_older_files(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path, rows(0, 3))
        later = rows(3, 3).append_column("z", pa.array([1.5, 2.5, 3.5]))
        write_deltalake(tmp_path, later, mode="append", schema_mode="merge")
        names = ["x", "y", "z"]
        assert read(read_manifest([str(tmp_path)]), names) == of_delta(tmp_path, names)

    def test_mapped_columns_are_read_under_their_names_of_today(self, tmp_path: Path) -> None:
        mapped = [
            field(name, **{"delta.columnMapping.id": i, "delta.columnMapping.physicalName": f"col-{i}"})
            for i, name in enumerate(("renamed", "y"), 1)
        ]
        stored = pa.table({"col-1": [1.0, 2.0], "col-2": [3.0, 4.0], "col-3": [9.0, 9.0]})
        tmp_path.joinpath("_delta_log").mkdir()
        write_log(
            tmp_path,
            0,
            [
                {"protocol": {"minReaderVersion": 2, "minWriterVersion": 5}},
                metadata(
                    mapped, **{"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "3"}
                ),
                add(tmp_path, "a.parquet", stored),
            ],
        )
        manifest = read_manifest([str(tmp_path)])
        assert manifest.schema.names == ["renamed", "y"]  # col-3 was dropped from the table
        assert read(manifest, ["renamed", "y"]) == [(1.0, 3.0), (2.0, 4.0)]

    @pytest.mark.parametrize("deleted", [[0], [3, 4], [1, 2, 5, 9], list(range(4, 8)), list(range(9))])
    def test_deletion_vectors_are_honoured(self, tmp_path: Path, deleted: list[int]) -> None:
        write_vectors(tmp_path, {"a.parquet": (rows(0, 10).select(["x", "y"]), deleted)})
        manifest = read_manifest([str(tmp_path)])
        assert manifest.num_rows == 10 - len(deleted)
        assert [row[0] for row in read(manifest, "x")] == [float(i) for i in range(10) if i not in deleted]

    def test_a_deletion_is_of_one_file_where_several_folders_have_one_of_its_name(
        self, tmp_path: Path
    ) -> None:
        """As in a table that was converted from Parquet, whose files are called the same in every folder."""
        files = {
            "part-0.parquet": (rows(0, 3).select(["x", "y"]), []),
            "b/part-0.parquet": (rows(10, 3).select(["x", "y"]), [1]),
            "c d/part-0.parquet": (rows(20, 3).select(["x", "y"]), [0, 2]),
        }
        write_vectors(tmp_path / "a table", files)
        found = read(read_manifest([str(tmp_path / "a table")]), "x")
        assert [row[0] for row in found] == [0.0, 1.0, 10.0, 12.0, 2.0, 21.0]

    def test_a_deletion_changes_the_digest_of_the_data(self, tmp_path: Path) -> None:
        digests = set()
        for number, deleted in enumerate(([1], [2], [1, 2])):
            write_vectors(tmp_path / str(number), {"a.parquet": (rows(0, 10).select(["x", "y"]), deleted)})
            digests.add(read_manifest([str(tmp_path / str(number))]).digest)
        assert len(digests) == 3

    def test_a_reader_feature_that_is_not_known_is_refused_by_name(self, tmp_path: Path) -> None:
        (tmp_path / "_delta_log").mkdir()
        protocol = {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": ["typeWidening"],
            "writerFeatures": ["typeWidening"],
        }
        actions = [{"protocol": protocol}, metadata([field("x"), field("y")])]
        write_log(tmp_path, 0, [*actions, add(tmp_path, "a.parquet", rows(0, 3).select(["x", "y"]))])
        with pytest.raises(DataError, match="typeWidening"):
            read_manifest([str(tmp_path)])

    def test_a_version_that_is_not_there_is_named(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path, rows(0, 3))
        with pytest.raises(DataError, match="has no version 7: its newest is 0"):
            read_manifest([str(tmp_path)], version=7)

    def test_a_broken_log_is_a_data_error(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path, rows(0, 3))
        (tmp_path / "_delta_log" / f"{0:020}.json").write_text("{nonsense")
        with pytest.raises(DataError, match="cannot read the Delta table"):
            read_manifest([str(tmp_path)])

    def test_an_emptied_table_holds_no_rows(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path, rows(0, 3))
        DeltaTable(tmp_path).delete()
        with pytest.raises(DataError, match="holds no rows"):
            read_manifest([str(tmp_path)])


@pytest.fixture
def new_table(tmp_path: Path) -> Callable[..., IcebergTable]:
    catalog = SqlCatalog(
        "c", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse"
    )
    catalog.create_namespace("n")

    def create(first: pa.Table, **more: Any) -> IcebergTable:
        table = catalog.create_table("n.t", schema=first.schema, **more)
        table.append(first)
        return table

    yield create
    catalog.close()


def folder_of(table: IcebergTable) -> str:
    return table.location().removeprefix("file://")


def of_iceberg(
    table: IcebergTable, names: Sequence[str], snapshot: int | None = None
) -> list[tuple[Any, ...]]:
    static = StaticTable.from_metadata(table.metadata_location)
    return as_rows(static.scan(snapshot_id=snapshot).to_arrow(), names)


class TestIceberg:
    def test_only_the_current_snapshot_is_read(self, new_table: Callable[..., IcebergTable]) -> None:
        table = new_table(rows(0, 10))
        table.append(rows(10, 5))
        table.delete("x < 3")
        manifest = read_manifest([folder_of(table)])
        assert read(manifest, "xy") == of_iceberg(table, "xy")
        assert manifest.num_rows == 12
        current = table.current_snapshot()
        assert current is not None
        assert manifest.tables[0].version == current.snapshot_id

    def test_an_older_snapshot_is_read_by_id_and_by_time(
        self, new_table: Callable[..., IcebergTable]
    ) -> None:
        table = new_table(rows(0, 4))
        table.append(rows(4, 4))
        table.overwrite(rows(100, 2))  # two snapshots: all files out, then one in
        with pytest.raises(DataError, match="holds no rows"):
            read_manifest([folder_of(table)], version=table.snapshots()[2].snapshot_id)
        for snapshot in (*table.snapshots()[:2], table.snapshots()[3]):
            manifest = read_manifest([folder_of(table)], version=snapshot.snapshot_id)
            assert read(manifest, "xy") == of_iceberg(table, "xy", snapshot.snapshot_id)
        assert read(read_manifest([folder_of(table)], version="2100-01-01"), "x") == [(100.0,), (101.0,)]
        with pytest.raises(DataError, match="has no version at 2001"):
            read_manifest([folder_of(table)], version="2001-01-01")
        with pytest.raises(DataError, match="has no snapshot 5"):
            read_manifest([folder_of(table)], version=5)

    def test_columns_follow_their_ids_through_rename_drop_and_add(
        self, new_table: Callable[..., IcebergTable]
    ) -> None:
        table = new_table(rows(0, 3))
        with table.update_schema() as update:
            update.rename_column("x", "distance")
            update.delete_column("month")
        with table.update_schema() as update:
            update.add_column("month", DoubleType())  # another column under the old name
        table.append(pa.table({"distance": [50.0], "y": [51.0], "month": [0.5]}))
        names = ["distance", "y", "month"]
        manifest = read_manifest([folder_of(table)])
        assert read(manifest, names) == of_iceberg(table, names)

    def test_files_that_lack_their_partition_column_get_it_from_the_log(
        self, new_table: Callable[..., IcebergTable], tmp_path: Path
    ) -> None:
        table = new_table(rows(0, 2))
        with table.update_spec() as update:
            update.add_identity("month")
        table.append(rows(10, 2, "feb"))
        manifest = read_manifest([folder_of(table)])
        assert read(manifest, ["x", "month"]) == of_iceberg(table, ["x", "month"])

    def test_position_deletes_are_honoured(self, new_table: Callable[..., IcebergTable]) -> None:
        table = new_table(rows(0, 10))
        (task,) = table.scan().plan_files()
        deleted = {"file_path": [task.file.file_path] * 3, "pos": [0, 4, 9]}
        with_deletes(table, DataFileContent.POSITION_DELETES, deleted)
        manifest = read_manifest([folder_of(table)])
        assert read(manifest, "xy") == of_iceberg(table, "xy")
        assert [row[0] for row in read(manifest, "x")] == [1.0, 2.0, 3.0, 5.0, 6.0, 7.0, 8.0]

    def test_deletes_by_value_are_refused(self, new_table: Callable[..., IcebergTable]) -> None:
        table = new_table(rows(0, 10))
        with_deletes(table, DataFileContent.EQUALITY_DELETES, {"x": [3.0]})
        with pytest.raises(DataError, match="equality"):
            read_manifest([folder_of(table)])

    def test_a_table_without_a_snapshot_holds_no_rows(self, tmp_path: Path) -> None:
        catalog = SqlCatalog(
            "c", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/warehouse"
        )
        catalog.create_namespace("n")
        table = catalog.create_table("n.t", schema=Schema())
        with pytest.raises(DataError, match="no snapshot yet"):
            read_manifest([folder_of(table)])
        catalog.close()

    def test_broken_metadata_is_a_data_error(self, tmp_path: Path) -> None:
        (tmp_path / "metadata").mkdir()
        (tmp_path / "metadata" / "v1.metadata.json").write_text('{"format-version": 2}')
        with pytest.raises(DataError, match="cannot read the Iceberg table"):
            read_manifest([str(tmp_path)])


class _DeleteManifest(ManifestWriterV2):
    def content(self) -> ManifestContent:
        return ManifestContent.DELETES


class _AppendDeletes(_FastAppendFiles):
    def new_manifest_writer(self, spec: Any) -> Any:
        table = self._transaction.table_metadata
        return _DeleteManifest(spec, table.schema(), self.new_manifest_output(), self.snapshot_id, "null")


def with_deletes(table: IcebergTable, content: DataFileContent, columns: dict[str, Any]) -> None:
    """Commit a delete file, as Spark's merge-on-read does; PyIceberg's own `delete` rewrites files."""
    path = f"{folder_of(table)}/data/deletes.parquet"
    pq.write_table(pa.table(columns), path)
    file = DataFile.from_args(
        _table_format_version=2,
        content=content,
        file_path=path,
        file_format=FileFormat.PARQUET,
        partition=Record(),
        record_count=len(next(iter(columns.values()))),
        file_size_in_bytes=Path(path).stat().st_size,
        column_sizes={},
        value_counts={},
        null_value_counts={},
        nan_value_counts={},
        lower_bounds={},
        upper_bounds={},
        equality_ids=[1] if content is DataFileContent.EQUALITY_DELETES else None,
    )
    file.spec_id = table.spec().spec_id
    with (
        table.transaction() as transaction,
        _AppendDeletes(operation=Operation.APPEND, transaction=transaction, io=table.io) as appended,
    ):
        appended.append_data_file(file)


class TestRecognition:
    def test_parquet_reads_every_file_of_a_tables_folder(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path, rows(0, 4))
        write_deltalake(tmp_path, rows(4, 2), mode="overwrite")
        assert read_manifest([str(tmp_path)], table_format="parquet").num_rows == 6
        assert read_manifest([str(tmp_path)]).num_rows == 2

    def test_a_folder_above_a_table_is_refused(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path / "lake" / "flights", rows(0, 4))
        for path in (tmp_path, tmp_path / "lake", tmp_path / "lake" / "*"):
            with pytest.raises(DataError, match="holds the Delta table"):
                read_manifest([str(path)])

    def test_a_glob_into_a_table_is_refused(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path, rows(0, 4))
        with pytest.raises(DataError, match="holds the Delta table"):
            read_manifest([str(tmp_path / "*.parquet")])

    def test_hudi_is_refused_by_name(self, tmp_path: Path) -> None:
        (tmp_path / ".hoodie").mkdir()
        pq.write_table(rows(0, 3), tmp_path / "a.parquet")
        with pytest.raises(DataError, match="is a Hudi table"):
            read_manifest([str(tmp_path)])

    def test_a_format_that_the_folder_is_not_is_refused(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path / "d", rows(0, 3))
        pq.write_table(rows(0, 3), tmp_path / "a.parquet")
        with pytest.raises(DataError, match="it is a delta table"):
            read_manifest([str(tmp_path / "d")], table_format="iceberg")
        with pytest.raises(DataError, match="no such table"):
            read_manifest([str(tmp_path / "a.parquet")], table_format="delta")

    def test_a_version_needs_one_table(self, tmp_path: Path) -> None:
        pq.write_table(rows(0, 3), tmp_path / "a.parquet")
        with pytest.raises(DataError, match="plain Parquet has no versions"):
            read_manifest([str(tmp_path / "a.parquet")], version=3)
        with pytest.raises(SpecError, match="one table"):
            read_manifest([str(tmp_path / "a.parquet"), str(tmp_path)], version=3)

    def test_tables_and_files_can_be_read_together(self, tmp_path: Path) -> None:
        write_deltalake(tmp_path / "d", rows(0, 3))
        pq.write_table(rows(10, 3), tmp_path / "a.parquet")
        manifest = read_manifest([str(tmp_path / "a.parquet"), str(tmp_path / "d")])
        assert [row[0] for row in read(manifest, "x")] == [0.0, 1.0, 10.0, 11.0, 12.0, 2.0]
