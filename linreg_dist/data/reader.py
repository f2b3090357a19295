"""One row group from a file into memory, with bounded memory.

``ParquetFile`` with ``pre_buffer=False`` holds one row group; with the default it keeps every range it ever
read until it is closed (apache/arrow#39808). On an object store pre-buffering joins many small requests, so
there each read opens a reader of its own and closes it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from linreg_dist import limits, liveness
from linreg_dist.data.readers import decode
from linreg_dist.data.source.files import open_filesystem
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.data.source.pages import Pages, find_pages, read_rows
from linreg_dist.data.tables.snapshot import Positions
from linreg_dist.errors import DataError
from linreg_dist.storage import retried

_FOOTERS_KEPT = 64
_NO_DICTIONARY = "ot yet implemented"
_PIECE_BYTES = 1 << 20  # decoded; about a core's L2
_VALUE_BYTES = 4


class RowGroupReader:
    """Reads row groups of one manifest; safe to call from several threads.

    Args:
        manifest: the files.
        columns: names to read, hive columns included.
        dictionary: those to read as dictionary-encoded strings, which costs one lookup a distinct value.

    """

    def __init__(self, manifest: Manifest, columns: Sequence[str], dictionary: Sequence[str] = ()) -> None:
        self._manifest = manifest
        self._columns = tuple(columns)
        self._dictionary = tuple(dictionary)
        # A footer of a wide file takes milliseconds to parse, and its row groups are read one by one.
        self._footer = lru_cache(_FOOTERS_KEPT)(self._read_footer)
        self._bytes_read, self._lock = 0, threading.Lock()
        self._without_dictionary: set[int] = set()
        self._pages: dict[tuple[int, int, int], Pages] = {}

    @property
    def bytes_read(self) -> int:
        """Bytes of the files that were read so far, compressed."""
        return self._bytes_read

    def read(self, group: RowGroup) -> pa.Table:
        """Decode ``group``; hive keys appear as constant columns.

        Raises:
            DataError: the file is gone, truncated or no longer what its footer said.
            StorageError: an object store does not answer.

        """
        fast = self._read_fast(group) if decode.is_enabled() else None
        if fast is not None:
            return fast
        (table,) = self._read_pieces(group, [self._columns])
        return table

    def _read_fast(self, group: RowGroup) -> pa.Table | None:
        """Decode a row group by polars, in a reader process; None where pyarrow is to do it."""
        file = self._manifest.files[group.file]
        filesystem, path = open_filesystem(file.uri)
        if not isinstance(filesystem, fs.LocalFileSystem) or len(file.deleted) or file.stored:
            return None
        if group.span is not None:
            return None
        if self._dictionary or not set(self._columns) <= set(file.schema.names):
            return None
        footer, leaves = self._footer(group.file)
        places = [leaf for name in self._columns for leaf in leaves.get(name, ())]
        table = decode.decode(path, footer, group.ordinal, self._columns, places)
        if table is None or table.num_rows != group.num_rows:
            return None
        self._count(footer, group, places)
        return table

    def read_pieces(self, group: RowGroup) -> Iterator[pa.Table]:
        """Decode ``group`` a few columns at a time; together the tables are what `read` returns.

        A piece of a local file is small enough to be used while it is still in the core's cache: copying its
        columns then costs next to nothing, where after `read` they would come back from memory. An object
        store is asked once for all columns.

        Raises:
            DataError: as `read`.

        """
        at_once = max(1, _PIECE_BYTES // max(group.num_rows * _VALUE_BYTES, 1))
        if not self._is_local(group):
            at_once = len(self._columns)
        return self._read_pieces(
            group, [self._columns[at : at + at_once] for at in range(0, len(self._columns), at_once)]
        )

    def _read_pieces(self, group: RowGroup, pieces: Sequence[tuple[str, ...]]) -> Iterator[pa.Table]:
        file = self._manifest.files[group.file]
        # A column of null type is as good as absent, and hive columns are not in the file.
        in_file = {field.name for field in file.schema if not pa.types.is_null(field.type)}
        filesystem, path = open_filesystem(file.uri)
        dictionary = [file.stored.get(name, name) for name in self._dictionary if name in in_file]
        shown = {own: name for name, own in file.stored.items()}
        local = isinstance(filesystem, fs.LocalFileSystem)

        where = self._manifest.where(group)

        def decoded() -> Iterator[pa.Table]:
            with liveness.process.doing(f"reading {where}"), filesystem.open_input_file(path) as source:
                footer, leaves = self._footer(group.file)
                # Its own: another thread may find out in the meantime that this file has no dictionaries.
                texts = [] if group.file in self._without_dictionary else dictionary
                reader = _open(source, footer, texts, local=local)
                live = _live_rows(file.deleted, footer, group)

                def read(stored: list[str]) -> pa.Table:
                    if group.span is not None:
                        return self._read_slice(source, group, stored, texts, is_local=local)
                    return reader.read_row_group(group.ordinal, columns=stored, use_threads=False)

                for names in pieces:
                    stored = [file.stored.get(name, name) for name in names if name in in_file]
                    try:
                        table = read(stored)
                    except OSError as error:  # Arrow makes no dictionary of DELTA_BYTE_ARRAY and some others
                        if not texts or _NO_DICTIONARY not in str(error):
                            raise
                        self._without_dictionary.add(group.file)
                        texts = []
                        reader = _open(source, footer, texts, local=local)
                        table = read(stored)
                    liveness.process.mark(f"reading {where}")
                    self._count(footer, group, [leaf for own in stored for leaf in leaves.get(own, ())])
                    if shown:
                        table = table.rename_columns([shown.get(own, own) for own in table.column_names])
                    if live is not None:
                        table = table.filter(live)
                    yield self._completed(table, names, in_file, group)

        try:
            if local:
                yield from decoded()
            else:  # a connection may break in the middle: then it is read again from the start
                yield from retried(lambda: list(decoded()), "read", file.uri)
        except (pa.ArrowException, OSError) as error:
            limits.let_through(error)
            raise DataError(f"cannot read {where}: {error}") from error

    def _read_slice(
        self,
        source: pa.NativeFile,
        group: RowGroup,
        stored: list[str],
        dictionary: list[str],
        *,
        is_local: bool,
    ) -> pa.Table:
        """Decode columns of a slice, one after the other: their pages end at different rows."""
        assert group.span is not None  # noqa: S101  # for mypy
        footer, leaves = self._footer(group.file)
        columns = []
        for name in stored:
            pages = self._pages_of(source, group, leaves.get(name, ()), is_local=is_local)
            texts = [name] if name in dictionary else []
            column = read_rows(
                source, footer, group.ordinal, name, group.span, pages, dictionary=texts, is_local=is_local
            )
            columns.append(_single_chunk(column))
            liveness.process.mark(f"reading {self._manifest.where(group)}")
        rows = pa.table({"": pa.nulls(group.span[1] - group.span[0])})  # a table of no columns has none
        return pa.table(columns, names=stored) if columns else rows.select([])

    def _pages_of(
        self, source: pa.NativeFile, group: RowGroup, leaves: Sequence[int], *, is_local: bool
    ) -> Pages | None:
        """Return the pages of a column of a row group; None where its values are not one a row."""
        footer, _ = self._footer(group.file)
        if len(leaves) != 1 or footer.schema.column(leaves[0]).max_repetition_level:
            return None
        key = group.file, group.ordinal, leaves[0]
        if key not in self._pages:
            chunk = footer.row_group(group.ordinal).column(leaves[0])
            self._pages[key] = find_pages(source, chunk, is_local=is_local)
        return self._pages[key]

    def _completed(
        self, table: pa.Table, names: Sequence[str], in_file: Collection[str], group: RowGroup
    ) -> pa.Table:
        """Check the number of rows, and add the hive columns and those that the file lacks."""
        file = self._manifest.files[group.file]
        if table.num_rows != group.num_rows:
            raise DataError(
                f"{self._manifest.where(group)} has {table.num_rows} rows, but had {group.num_rows} when "
                "the job started; the file was changed meanwhile: run the job again"
            )
        for name in names:
            if name not in in_file:
                value = None if name in file.schema.names else file.partition.get(name)
                table = table.append_column(name, self._constant(name, value, table.num_rows))
        return table

    def _is_local(self, group: RowGroup) -> bool:
        filesystem, _ = open_filesystem(self._manifest.files[group.file].uri)
        return isinstance(filesystem, fs.LocalFileSystem)

    def _count(self, footer: pq.FileMetaData, group: RowGroup, leaves: Sequence[int]) -> None:
        """Count the bytes of column chunks that were read, and so are whole; of a slice its share."""
        found = footer.row_group(group.ordinal)
        taken = sum(found.column(leaf).total_compressed_size for leaf in leaves)
        if group.span is not None:
            low, high = (taken * row // found.num_rows for row in group.span)
            taken = high - low
        with self._lock:
            self._bytes_read += taken

    def _read_footer(self, file: int) -> tuple[pq.FileMetaData, dict[str, list[int]]]:
        """Return a footer, and the numbers of the leaves of each top-level column."""
        filesystem, path = open_filesystem(self._manifest.files[file].uri)
        with filesystem.open_input_file(path) as source:
            footer = pq.read_metadata(source)
        leaves: dict[str, list[int]] = {}
        for number in range(len(footer.schema)):
            leaves.setdefault(footer.schema.column(number).path.split(".")[0], []).append(number)
        return footer, leaves

    def _constant(self, name: str, value: Any, num_rows: int) -> pa.Array:
        kind = self._manifest.schema.field(name).type
        if name in self._dictionary and not pa.types.is_dictionary(kind):
            kind = pa.dictionary(pa.int32(), kind)
        if value is None:
            return pa.nulls(num_rows, kind)
        scalar = _scalar(value, self._manifest.partition_types[name])
        if pa.types.is_dictionary(kind):
            levels = pa.repeat(scalar, 1).cast(kind.value_type)
            zeros = pa.py_buffer(np.zeros(num_rows, dtype=np.int32))
            codes = pa.Array.from_buffers(pa.int32(), num_rows, [None, zeros])
            return pa.DictionaryArray.from_arrays(codes, levels)
        return pa.repeat(scalar.cast(kind), num_rows)


def _open(
    source: pa.NativeFile, footer: pq.FileMetaData, dictionary: list[str], *, local: bool
) -> pq.ParquetFile:
    return pq.ParquetFile(
        source,
        metadata=footer,
        read_dictionary=dictionary,
        pre_buffer=not local,
        page_checksum_verification=True,
    )


def _scalar(value: Any, kind: pa.DataType) -> pa.Scalar:
    """Return what `pyarrow.scalar` does, for most values without importing pandas, which takes it long."""
    if type(value) is int and pa.types.is_integer(kind) and -(2**63) <= value < 2**63:
        one = pa.Array.from_buffers(
            pa.int64(), 1, [None, pa.py_buffer(value.to_bytes(8, "little", signed=True))]
        )
    elif type(value) is str and pa.types.is_string(kind):
        text = value.encode()
        ends = pa.py_buffer(np.array([0, len(text)], dtype=np.int32))
        one = pa.Array.from_buffers(pa.string(), 1, [None, ends, pa.py_buffer(text)])
    else:
        return pa.scalar(value, kind)
    return one[0].cast(kind)


def _live_rows(deleted: Positions, footer: pq.FileMetaData, group: RowGroup) -> pa.Array | None:
    """Return a mask of a row group's rows that the table has not deleted; None where it has deleted none."""
    if not len(deleted):
        return None
    start = sum(footer.row_group(before).num_rows for before in range(group.ordinal))
    num_rows = footer.row_group(group.ordinal).num_rows
    if group.span is not None:
        start, num_rows = start + group.span[0], group.span[1] - group.span[0]
    first, last = np.searchsorted(deleted, (start, start + num_rows))
    live = np.ones(num_rows, dtype=bool)
    live[deleted[first:last] - start] = False
    return pa.array(live)


def numeric_values(column: pa.ChunkedArray | pa.Array) -> np.ndarray[Any, np.dtype[Any]]:
    """Return a numeric column as a numpy array of its own type, without a copy where Arrow allows it.

    Nulls become NaN (integers then become float64); booleans become uint8, decimals float64.
    """
    array = _single_chunk(column)
    if pa.types.is_decimal(array.type):
        array = array.cast(pa.float64())
    elif pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    elif pa.types.is_float16(array.type):
        array = array.cast(pa.float32())
    values, valid = _parts(array)
    if valid is None:
        return values
    known = values.astype(np.float64) if values.dtype.kind in "iu" else values.copy()
    known[~valid] = np.nan
    return known


def category_codes(
    column: pa.ChunkedArray | pa.Array,
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], list[Any]]:
    """Return ``(codes, levels)`` of a column: ``levels[codes[i]]`` is row i's value, code -1 is null."""
    array = _single_chunk(column)
    if not pa.types.is_dictionary(array.type):
        array = array.dictionary_encode()
    values, valid = _parts(array.indices)
    codes = values.astype(np.int64) if valid is None else np.where(valid, values, -1).astype(np.int64)
    levels = array.dictionary.to_pylist()
    if array.dictionary.null_count:  # a null may also be a level that indices refer to
        of_levels = np.array([-1 if level is None else code for code, level in enumerate(levels)] + [-1])
        codes = of_levels[codes]
    return codes, levels


_TYPES = {
    **{getattr(pa, name)(): np.dtype(name) for name in ("int8", "int16", "int32", "int64")},
    **{getattr(pa, name)(): np.dtype(name) for name in ("uint8", "uint16", "uint32", "uint64")},
    pa.float32(): np.dtype(np.float32),
    pa.float64(): np.dtype(np.float64),
}


def _parts(
    array: pa.Array,
) -> tuple[np.ndarray[Any, np.dtype[Any]], np.ndarray[Any, np.dtype[np.bool_]] | None]:
    """Return the numbers of an array in its memory, and which of them are there, None where all are.

    `pyarrow.Array.to_numpy` gives the same, and imports pandas, which takes longer than many a job.
    """
    num, offset = len(array), array.offset
    validity, data = array.buffers()
    dtype = _TYPES[array.type]
    if data is None:  # of no rows
        return np.empty(0, dtype), None
    values = np.frombuffer(data, dtype=dtype, count=num, offset=offset * dtype.itemsize)
    if not array.null_count or validity is None:
        return values, None
    first = offset // 8
    bits = np.frombuffer(validity, dtype=np.uint8, offset=first, count=(offset + num + 7) // 8 - first)
    return values, np.unpackbits(bits, count=offset % 8 + num, bitorder="little")[offset % 8 :].astype(bool)


def _single_chunk(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    if isinstance(column, pa.ChunkedArray):
        if column.num_chunks == 1:
            return column.chunk(0)
        if pa.types.is_dictionary(column.type):
            column = column.unify_dictionaries()
        return column.combine_chunks()
    return column
