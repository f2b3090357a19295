"""The files behind the data paths of a job: tables by their snapshot, everything else by listing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import pyarrow as pa

from linreg_dist.data.source.files import FoundFile, FoundFiles, KeyRule, find_files
from linreg_dist.data.tables.find import find_snapshot
from linreg_dist.data.tables.snapshot import Snapshot
from linreg_dist.errors import DataError, SpecError


@dataclass(frozen=True)
class TableInfo:
    """A table that was read.

    Attributes:
        format: delta or iceberg.
        path: its folder as the user named it.
        version: the Delta version or the Iceberg snapshot id.
        schema: its columns in the table's order.
        role: train, or validation for a table of ``data.validation.path``.

    """

    format: str
    path: str
    version: int
    schema: pa.Schema = field(default_factory=lambda: pa.schema([]), compare=False)
    role: Literal["train", "validation"] = "train"


def find_data(
    paths: Sequence[str],
    table_format: str,
    version: int | str | None,
    *,
    skip_bad: bool = False,
    text_keys: Mapping[str, KeyRule] = MappingProxyType({}),
    may_be_empty: bool = False,
) -> tuple[FoundFiles, tuple[TableInfo, ...]]:
    """Resolve the data paths of a job.

    Returns:
        The files with the types of hive and partition columns, and the tables among the paths.

    Raises:
        DataError: nothing is there; see also `find_files` and `find_snapshot`.
        SpecError: a version is asked of several paths, or a format's library is not installed.

    """
    if version is not None and len(paths) > 1:
        raise SpecError(
            f"data.version {version} was given with {len(paths)} paths; expected one table in data.path: a "
            "version is one table's"
        )
    snapshots = {path: find_snapshot(path, table_format, version) for path in paths}
    tables = [snapshot for snapshot in snapshots.values() if snapshot is not None]
    plain = [path for path in paths if snapshots[path] is None]
    if not tables:
        as_files = table_format == "parquet"
        return find_files(plain, tables_as_files=as_files, skip_bad=skip_bad, text_keys=text_keys), ()
    files = find_files(plain, skip_bad=skip_bad, text_keys=text_keys) if plain else FoundFiles([], {})
    types, found = files.types, files.files
    for snapshot in tables:
        for name, kind in snapshot.partition_types.items():
            if types.setdefault(name, kind) != kind:
                raise DataError(
                    f"column {name!r} is {kind} in {snapshot.path} and {types[name]} in another part of "
                    "data.path; expected the same type"
                )
    empty: dict[str, Any] = dict.fromkeys(types)
    by_path = {path: snapshot for path, snapshot in snapshots.items() if snapshot is not None}
    for snapshot in by_path.values():
        if not snapshot.files and not may_be_empty:
            raise DataError(
                f"version {snapshot.version} of the {snapshot.format} table {snapshot.path} holds no rows; "
                "expected at least one"
            )
        found += _files_of(snapshot, empty)
    return (
        files,
        tuple(TableInfo(table.format, table.path, table.version, table.schema) for table in by_path.values()),
    )


def _files_of(snapshot: Snapshot, empty: dict[str, Any]) -> list[FoundFile]:
    return [
        FoundFile(
            uri=file.uri,
            key=file.key,
            size=file.size,
            partition=empty | dict(file.partition),
            columns=snapshot.columns,
            deleted=file.deleted,
        )
        for file in snapshot.files
    ]
