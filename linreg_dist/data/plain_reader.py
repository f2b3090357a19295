"""`PlainReader`: row groups of local files that hold all columns under their own names, in little time.

Opening a Parquet file costs half a millisecond of a thread's time, most of it with the interpreter's lock
held, and so does asking what is in it. Where neither columns have to be added or renamed, nor rows left out,
nor connections repeated, the file stays open from one row group to the next.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from linreg_dist import limits, liveness
from linreg_dist.data.readers import decode
from linreg_dist.data.source.files import open_filesystem
from linreg_dist.data.source.manifest import Manifest, RowGroup

_FILES_KNOWN = 64
_FILES_OPEN = 32  # no more than so many wait for their next row group


@dataclass
class _File:
    """What is known of a file that is read so.

    Attributes:
        path: local.
        uri: as messages name it.
        leaves: numbers of the columns' chunks in the footer.
        footer: parsed.
        idle: open, and used by no thread.

    """

    path: str
    uri: str
    leaves: list[int]
    footer: pq.FileMetaData
    idle: list[pq.ParquetFile] = field(default_factory=list)


class PlainReader:
    """Reads row groups of one manifest; safe to call from several threads.

    Args:
        manifest: the files.
        columns: names to read.

    """

    def __init__(self, manifest: Manifest, columns: Sequence[str]) -> None:
        self._manifest, self._columns = manifest, list(columns)
        self._file = lru_cache(_FILES_KNOWN)(self._find)
        self._lock = threading.Lock()
        self._bytes_read = self._idle = 0
        self._uncounted: list[tuple[_File, int]] = []

    @property
    def bytes_read(self) -> int:
        """Bytes of the files that were read so far, compressed."""
        with self._lock:
            waiting, self._uncounted = self._uncounted, []
            for file, ordinal in waiting:
                group = file.footer.row_group(ordinal)
                self._bytes_read += sum(group.column(leaf).total_compressed_size for leaf in file.leaves)
            return self._bytes_read

    def read(self, group: RowGroup) -> pa.Table | None:
        """Decode a row group; None where that takes more than this, or failed: `RowGroupReader` says why."""
        if decode.is_enabled() or group.span is not None:
            return None
        try:
            file = self._file(group.file)
            if file is None:
                return None
            with liveness.process.doing(f"reading {file.uri} (row group {group.ordinal})"):
                parquet = self._take(file)
                table: pa.Table = parquet.read_row_group(
                    group.ordinal, columns=self._columns, use_threads=False
                )
        except (pa.ArrowException, OSError) as error:
            limits.let_through(error)
            return None
        if table.num_rows != group.num_rows:
            return None
        self._give_back(file, parquet, group.ordinal)
        return table

    def _find(self, number: int) -> _File | None:
        file = self._manifest.files[number]
        filesystem, path = open_filesystem(file.uri)
        if not isinstance(filesystem, fs.LocalFileSystem) or len(file.deleted) or file.stored:
            return None
        names = file.schema.names
        if (
            not self._columns
            or not set(self._columns) <= set(names)
            or set(self._columns) & set(file.partition)
        ):
            return None
        if any(pa.types.is_null(file.schema.field(name).type) for name in self._columns):
            return None
        with filesystem.open_input_file(path) as source:
            footer = pq.read_metadata(source)
        wanted = set(self._columns)
        leaves = [
            leaf
            for leaf in range(len(footer.schema))
            if footer.schema.column(leaf).path.split(".")[0] in wanted
        ]
        return _File(path, file.uri, leaves, footer)

    def _take(self, file: _File) -> pq.ParquetFile:
        """Return an open file; one that somebody replaces meanwhile stays the one that the job began with."""
        with self._lock:
            if file.idle:
                self._idle -= 1
                return file.idle.pop()
        source = fs.LocalFileSystem().open_input_file(file.path)
        return pq.ParquetFile(source, metadata=file.footer, pre_buffer=False, page_checksum_verification=True)

    def _give_back(self, file: _File, opened: pq.ParquetFile, ordinal: int) -> None:
        with self._lock:
            self._uncounted.append((file, ordinal))
            if self._idle < _FILES_OPEN:
                self._idle += 1
                file.idle.append(opened)
