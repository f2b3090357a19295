"""What the footers say: files, row groups and schemas, read once by the driver.

The manifest is small, holds no data, and everything a worker does is planned from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist.data.source import FoundFile, find_files, open_filesystem
from linreg_dist.errors import DataError

Role = Literal["train", "validation"]
_FOOTER_THREADS = 16  # footers are latency, not work: object stores answer many at once


@dataclass(frozen=True)
class ParquetFileInfo:
    """One file of the data set: where it is, its hive keys and which schema of the manifest it has."""

    uri: str
    key: str
    size: int
    num_rows: int
    partition: dict[str, Any]
    schema: pa.Schema
    role: Role


@dataclass(frozen=True)
class RowGroup:
    """The unit of reading: ``ordinal`` of file number ``file``, whose first row is ``first_row`` of that file."""

    index: int
    file: int
    ordinal: int
    first_row: int
    num_rows: int
    num_bytes: int


@dataclass(frozen=True)
class Manifest:
    """All files and row groups of a job, in a stable order; row group ``i`` has ``index == i``."""

    files: tuple[ParquetFileInfo, ...]
    row_groups: tuple[RowGroup, ...]
    partition_types: dict[str, pa.DataType] = field(default_factory=dict)

    @property
    def num_rows(self) -> int:
        """Rows in all files, whatever their role."""
        return sum(group.num_rows for group in self.row_groups)

    def role(self, group: RowGroup) -> Role:
        """Return whether the rows of ``group`` are split by the spec's rule or all validate."""
        return self.files[group.file].role

    @property
    def schema(self) -> pa.Schema:
        """The first file's schema followed by the hive columns."""
        schema = self.files[0].schema
        for name, kind in self.partition_types.items():
            if name not in schema.names:
                schema = schema.append(pa.field(name, kind))
        return schema

    @property
    def digest(self) -> str:
        """A sha256 that changes when a file is added, removed, renamed or has other rows or bytes."""
        lines = [
            [file.key, file.size, file.role, [g.num_rows for g in self.row_groups if g.file == number]]
            for number, file in enumerate(self.files)
        ]
        return hashlib.sha256(json.dumps(lines, separators=(",", ":")).encode()).hexdigest()

    def where(self, group: RowGroup) -> str:
        """Name a row group for a message."""
        return f"{self.files[group.file].uri} (row group {group.ordinal})"


def read_manifest(paths: Sequence[str], validation_paths: Sequence[str] = ()) -> Manifest:
    """Read the footers of every file.

    Args:
        paths: files, folders, globs or URIs to train on.
        validation_paths: the same for data that only validates (``validation: {method: path}``).

    Raises:
        DataError: nothing found, a file is no Parquet, or the files hold no row at all.
    """
    found, types = find_files(paths)
    roles: list[Role] = ["train"] * len(found)
    if validation_paths:
        extra, extra_types = find_files(validation_paths)
        found, types = found + extra, types | extra_types
        roles += ["validation"] * len(extra)
    with ThreadPoolExecutor(min(_FOOTER_THREADS, len(found))) as pool:
        footers = list(pool.map(_read_footer, found))
    files, groups = [], []
    for number, (item, footer, role) in enumerate(zip(found, footers, roles, strict=True)):
        files.append(
            ParquetFileInfo(
                uri=item.uri,
                key=item.key,
                size=item.size,
                num_rows=footer.num_rows,
                partition=item.partition,
                schema=footer.schema.to_arrow_schema(),
                role=role,
            )
        )
        first_row = 0
        for ordinal in range(footer.num_row_groups):
            group = footer.row_group(ordinal)
            if group.num_rows:
                groups.append(
                    RowGroup(len(groups), number, ordinal, first_row, group.num_rows, group.total_byte_size)
                )
            first_row += group.num_rows
    manifest = Manifest(tuple(files), tuple(groups), types)
    if not any(manifest.role(group) == "train" for group in groups):
        raise DataError(
            f"{', '.join(paths)} holds no rows ({len(files)} file(s), all empty); expected at least one row to train on"
        )
    return manifest


def _read_footer(found: FoundFile) -> pq.FileMetaData:
    filesystem, path = open_filesystem(found.uri)
    try:
        with filesystem.open_input_file(path) as source:
            return pq.read_metadata(source)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{found.uri} cannot be read as Parquet: {error}") from error
