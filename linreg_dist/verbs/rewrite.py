"""`inspect --rewrite`: the same rows in the layout that trains fastest, a batch of rows at a time."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist import liveness
from linreg_dist.data.capacity import decoded_nbytes
from linreg_dist.data.design.types import is_string
from linreg_dist.data.source.files import absolute_paths, open_filesystem
from linreg_dist.data.source.footers import describe_chunks, read_footer
from linreg_dist.data.source.manifest import Manifest, ParquetFileInfo, read_manifest
from linreg_dist.documents import Rewritten
from linreg_dist.errors import DataError, SpecError
from linreg_dist.run.outputs import refuse_in_run, refuse_over_input
from linreg_dist.storage import Location, ObjectPath, as_location, one_line, upload_file

_GROUP_BYTES = 32 << 20  # decoded; what fits into caches and still is worth opening
_FEWEST_GROUPS = 32
_FEWEST_ROWS, _MOST_ROWS = 10_000, 1 << 20
_BATCH_BYTES = 4 << 20
_GROUPS_OF_FILE = 64
_BUFFER_BYTES = 1 << 20
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def rewrite(data: str | Sequence[str], output: str | Path | ObjectPath) -> Rewritten:
    """Write Parquet again: row groups of about 32 MiB decoded, numbers plain, text by dictionary, columns
    that hold no null declared so, with page checksums. Hive keys stay folders; a table becomes plain files.

    Args:
        data: file, folder, glob, URI, or a list of those.
        output: a folder or URI that is empty or not there yet.

    Raises:
        SpecError: the output holds something, or is the data.
        DataError: the data cannot be read, or changes while it is.

    """
    began = time.perf_counter()
    paths = absolute_paths([data] if isinstance(data, str) else list(data))
    manifest = read_manifest(paths)
    folder = as_location(output)
    refuse_over_input(folder, paths, [file.uri for file in manifest.files])
    refuse_in_run(folder, "--rewrite")
    if folder.exists() and (not folder.is_dir() or any(True for _ in folder.iterdir())):
        raise SpecError(f"--rewrite {folder} is there and not empty; choose a folder that does not exist yet")
    layout = _Layout(manifest)
    files = 0
    for place, members in _folders(manifest).items():
        with _Writer(folder / place if place else folder, layout) as writer:
            for file in members:
                for batch in _batches(manifest, file, layout):
                    writer.write(batch)
        files += writer.num_files
        layout.rows += writer.num_rows
        layout.groups += writer.num_groups
    if layout.rows != manifest.num_rows:
        raise DataError(
            f"{layout.rows:,} of {manifest.num_rows:,} rows were read; the data has changed meanwhile"
        )
    return Rewritten(
        output=str(folder),
        files=files,
        rows=layout.rows,
        row_groups=layout.groups,
        seconds=time.perf_counter() - began,
    )


class _Layout:
    """What is written: the schema, rows of a row group, and what was written so far."""

    def __init__(self, manifest: Manifest) -> None:
        # A table has its partition columns beside its files, not in the names of folders.
        self.keys = () if manifest.tables else tuple(manifest.partition_types)
        whole = manifest.schema
        no_nulls = _columns_without_nulls(manifest)
        self.schema = pa.schema(
            [
                pa.field(field.name, field.type, nullable=field.name not in no_nulls, metadata=field.metadata)
                for field in whole
                if field.name not in self.keys
            ],
            metadata=whole.metadata,
        )
        size = sum(max(group.num_bytes, decoded_nbytes(manifest, group)) for group in manifest.row_groups)
        row_bytes = max(1.0, size / max(1, manifest.num_rows))
        wanted = min(_GROUP_BYTES / row_bytes, max(_FEWEST_ROWS, manifest.num_rows / _FEWEST_GROUPS))
        self.group_rows = int(min(max(wanted, 1), _MOST_ROWS))
        self.batch_rows = int(min(max(_BATCH_BYTES / row_bytes, 256), self.group_rows))
        self.dictionaries = [field.name for field in self.schema if is_string(field.type)]
        self.rows = self.groups = 0


def _columns_without_nulls(manifest: Manifest) -> set[str]:
    """Return the columns that all files have, and that hold no null by their statistics."""
    files = [file for file in manifest.files if file.num_rows]
    found = {name for name in manifest.schema.names if name not in manifest.partition_types}
    chunks_of = describe_chunks([(file.uri, read_footer(file.uri)) for file in files])
    for file, chunks in zip(files, chunks_of, strict=True):
        own_names = {own: name for name, own in file.stored.items()}
        found &= {own_names.get(chunk.name, chunk.name) for chunk in chunks if chunk.nulls == 0}
    return {name for name in found if not pa.types.is_nested(manifest.schema.field(name).type)}


def _folders(manifest: Manifest) -> dict[str, list[ParquetFileInfo]]:
    """Return the files with rows by the folder that their hive keys make."""
    found: dict[str, list[ParquetFileInfo]] = {}
    for file in manifest.files:
        if file.num_rows:
            keys = {} if manifest.tables else file.partition
            place = "/".join(
                f"{quote(name, safe='')}={_HIVE_NULL if value is None else quote(str(value), safe='')}"
                for name, value in keys.items()
            )
            found.setdefault(place, []).append(file)
    return found


def _batches(manifest: Manifest, file: ParquetFileInfo, layout: _Layout) -> Iterator[pa.Table]:
    """Yield the live rows of a file as the layout's schema has them."""
    filesystem, path = open_filesystem(file.uri)
    names = [name for name in layout.schema.names if name in file.schema.names]
    shown = {file.stored.get(name, name): name for name in names}
    place = 0
    try:
        with filesystem.open_input_file(path) as source:
            reader = pq.ParquetFile(
                source, pre_buffer=False, buffer_size=_BUFFER_BYTES, page_checksum_verification=True
            )
            for batch in reader.iter_batches(layout.batch_rows, columns=list(shown), use_threads=False):
                table = pa.Table.from_batches([batch])
                table = table.rename_columns([shown[name] for name in table.column_names])
                first, place = place, place + len(table)
                if len(file.deleted):
                    begin, end = np.searchsorted(file.deleted, [first, place])
                    live = np.ones(len(table), bool)
                    live[file.deleted[begin:end] - first] = False
                    table = table.filter(pa.array(live))
                liveness.process.mark(f"rewriting {file.uri}")
                yield _fitted(table, manifest, file, layout)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"cannot read {file.uri}: {one_line(error)}") from error


def _fitted(table: pa.Table, manifest: Manifest, file: ParquetFileInfo, layout: _Layout) -> pa.Table:
    """Return a table with the columns and types of the layout."""
    columns = []
    for field in layout.schema:
        if field.name in table.column_names:
            column = table.column(field.name).cast(field.type)
        elif field.name in file.partition:
            value = pa.scalar(file.partition[field.name], manifest.partition_types[field.name])
            column = pa.chunked_array([pa.repeat(value, len(table))])
        else:
            column = pa.chunked_array([pa.nulls(len(table), field.type)])
        if column.null_count and not field.nullable:
            raise DataError(f"{file.uri}: column {field.name!r} has nulls, which its statistics do not say")
        columns.append(column)
    return pa.Table.from_arrays(columns, schema=layout.schema)


class _Writer:
    """Writes files of a folder, each under its name when it is whole."""

    def __init__(self, folder: Location, layout: _Layout) -> None:
        self._folder, self._layout = folder, layout
        self._waiting: list[pa.Table] = []
        self._num_waiting = 0
        self._writer: pq.ParquetWriter | None = None
        self._temporary: Path | None = None
        self._groups_of_file = 0
        self.num_files = self.num_rows = self.num_groups = 0

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        with ExitStack() as stack:
            if self._temporary is not None or kind is None:
                stack.callback(self._remove)
            if kind is None:
                self._write_group()
                self._finish()
            elif self._writer is not None:
                self._writer.close()

    def write(self, table: pa.Table) -> None:
        """Take rows."""
        while len(table):
            taken = table.slice(0, self._layout.group_rows - self._num_waiting)
            self._waiting.append(taken)
            self._num_waiting += len(taken)
            table = table.slice(len(taken))
            if self._num_waiting == self._layout.group_rows:
                self._write_group()

    def _write_group(self) -> None:
        if not self._num_waiting:
            return
        if self._writer is None:
            self._open()
        table = pa.concat_tables(self._waiting)
        if self._writer is not None:
            self._writer.write_table(table, row_group_size=len(table))
        self.num_rows += len(table)
        self.num_groups += 1
        self._groups_of_file += 1
        self._waiting, self._num_waiting = [], 0
        if self._groups_of_file == _GROUPS_OF_FILE:
            self._finish()

    def _open(self) -> None:
        if isinstance(self._folder, ObjectPath):
            handle, name = tempfile.mkstemp(prefix="linreg_dist-", suffix=".parquet")
            os.close(handle)
            self._temporary = Path(name)
        else:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._temporary = self._folder / f".{self._name}.tmp"
        self._writer = pq.ParquetWriter(
            self._temporary,
            self._layout.schema,
            use_dictionary=self._layout.dictionaries,
            write_page_checksum=True,
        )
        self._groups_of_file = 0

    @property
    def _name(self) -> str:
        return f"part-{self.num_files:05d}.parquet"

    def _finish(self) -> None:
        if self._writer is None or self._temporary is None:
            return
        self._writer.close()
        target = self._folder / self._name
        if isinstance(target, ObjectPath):
            upload_file(self._temporary, target)
            self._temporary.unlink()
        else:
            self._temporary.replace(target)
        self._writer, self._temporary = None, None
        self.num_files += 1

    def _remove(self) -> None:
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)
