"""Files of predictions, each written row group by row group, and given its name when it is complete."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from linreg_dist.storage import Location, ObjectPath, create_file, upload_file

_MOST_TEXT_BYTES = 256 << 20  # of kept texts that are written at a time


class FileWriter:
    """Writes row groups to one file after another; each file gets its name when the next one begins."""

    def __init__(self, targets: Sequence[Location]) -> None:
        self._targets = targets
        self._file: int | None = None
        self._temporary: Path | None = None
        self._sink: BinaryIO | None = None
        self._writer: pq.ParquetWriter | None = None

    def write(self, file: int, table: pa.Table) -> None:
        """Add rows to the file of this number; the one before is complete."""
        if file != self._file:
            self._finish()
            self._file = file
            self._temporary = _beside(self._targets[file])  # known first: a stop may come between
            self._sink = create_file(self._temporary, private=isinstance(self._targets[file], ObjectPath))
            self._writer = pq.ParquetWriter(self._sink, _plain(table.slice(0, 0)).schema)
        if self._writer is not None:
            for part in _parts(table):
                self._writer.write_table(_plain(part))

    def __enter__(self) -> FileWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            if kind is None:
                self._finish()
        finally:
            if self._writer is not None:  # else it would write when it is forgotten
                with suppress(OSError):
                    self._writer.close()
            self._close_sink()
            if self._temporary is not None:
                self._temporary.unlink(missing_ok=True)

    def _finish(self) -> None:
        if self._writer is None or self._temporary is None or self._file is None:
            return
        self._writer.close()
        self._close_sink()
        target = self._targets[self._file]
        if isinstance(target, ObjectPath):
            upload_file(self._temporary, target)
            self._temporary.unlink()
        else:
            self._temporary.replace(target)
        self._writer = None

    def _close_sink(self) -> None:
        if self._sink is not None:
            self._sink.close()
            self._sink = None


def _beside(target: Location) -> Path:
    """Return where a file is written until it is complete: an object here, a file beside itself."""
    if isinstance(target, ObjectPath):
        return Path(tempfile.gettempdir(), f"linreg_dist-{uuid.uuid4().hex}.parquet")
    target.parent.mkdir(parents=True, exist_ok=True)
    return target.with_name(f".{target.name}.tmp")


def _plain(table: pa.Table) -> pa.Table:
    """Give columns that were read as dictionaries for encoding their own type back."""
    fields = [
        field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field
        for field in table.schema
    ]
    return table.cast(pa.schema(fields))


def _parts(table: pa.Table) -> Iterator[pa.Table]:
    """Yield a table in parts whose texts are not too long to be written out; mostly it is one part."""
    ends = np.zeros(table.num_rows, dtype=np.int64)
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            lengths = [
                pc.binary_length(chunk.dictionary).take(chunk.indices).fill_null(0).to_numpy()
                for chunk in column.chunks
            ]
            ends += np.cumsum(np.concatenate(lengths), dtype=np.int64)
    start = 0
    while start < table.num_rows:
        written = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, written + _MOST_TEXT_BYTES, side="right")))
        yield table.slice(start, stop - start)
        start = stop
