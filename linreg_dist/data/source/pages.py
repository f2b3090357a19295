"""Pages of a column chunk: where they are, and a column read from one of them on.

Arrow reads a row group from its first row. To read rows from its middle, and no more than these, the headers
of its pages are walked, which say how many rows each has, and Arrow is handed the file with the pages before
left out. Page headers are Thrift structs in its compact protocol (Parquet format specification, PageHeader).
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_HEADER_BYTES = 256  # holds most page headers; one with long extremes has more
_MOST_HEADER_BYTES = 16 << 20  # as Arrow's own limit
_BATCH_ROWS = 1 << 16
_LOCAL_BYTES, _REMOTE_BYTES = 1 << 20, 8 << 20  # of a file that are asked for at a time
_DATA, _DICTIONARY, _DATA_V2 = 0, 2, 3  # PageType
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 11, 12
_DEEPEST = 16  # structs in structs; a page header has two


@dataclass(frozen=True)
class Pages:
    """The data pages of one column chunk.

    Attributes:
        starts: where each page's header begins in the file, ascending, and where the last page ends.
        rows: the first row of each page within the row group, and the number of all rows.

    """

    starts: tuple[int, ...]
    rows: tuple[int, ...]

    def holding(self, row: int) -> int:
        """Return the number of the page that a row is in."""
        return max(0, bisect.bisect_right(self.rows, row) - 1)


class _Ahead:
    """Bytes of a file, read some at a time."""

    def __init__(self, source: pa.NativeFile, end: int, at_once: int) -> None:
        self._source, self._end, self._at_once = source, end, at_once
        self._at, self._bytes = 0, b""

    def take(self, at: int, length: int) -> bytes:
        length = max(0, min(length, self._end - at))
        if not self._at <= at or at + length > self._at + len(self._bytes):
            self._at = at
            self._bytes = self._source.read_at(max(length, min(self._at_once, self._end - at)), at)
        first = at - self._at
        return self._bytes[first : first + length]


def find_pages(source: pa.NativeFile, chunk: pq.ColumnChunkMetaData, *, is_local: bool) -> Pages:
    """Walk the page headers of a column chunk without repeated values.

    Args:
        source: the file.
        chunk: what the footer says of it.
        is_local: whether a short read is cheap; else a page or more is read with each header.

    Raises:
        pa.ArrowInvalid: a header is damaged, or the pages hold another number of rows than the footer says.

    """
    at = _begin(chunk)
    end = at + chunk.total_compressed_size
    ahead = _Ahead(source, end, _HEADER_BYTES if is_local else _REMOTE_BYTES)
    starts, rows, total = [], [], 0
    while at < end and total < chunk.num_values:
        header, length = _header(ahead, at)
        kind, size = header.get(1), header.get(3)
        if not isinstance(kind, int) or not isinstance(size, int) or size < 0:
            raise pa.ArrowInvalid(f"the page header at byte {at:,} has no type or no size")
        if kind in (_DATA, _DATA_V2):
            inner = header.get(5 if kind == _DATA else 8)
            number = inner.get(1) if isinstance(inner, dict) else None
            if not isinstance(number, int) or number < 0:
                raise pa.ArrowInvalid(f"the page header at byte {at:,} has no number of values")
            starts.append(at)
            rows.append(total)
            total += number
        at += length + size
    if total != chunk.num_values or at > end or not starts:
        raise pa.ArrowInvalid(
            f"the pages of {chunk.path_in_schema} hold {total:,} values, and the footer says "
            f"{chunk.num_values:,}"
        )
    return Pages((*starts, at), (*rows, total))


def read_rows(
    source: pa.NativeFile,
    footer: pq.FileMetaData,
    ordinal: int,
    name: str,
    span: tuple[int, int],
    pages: Pages | None,
    *,
    dictionary: list[str],
    is_local: bool,
) -> pa.ChunkedArray:
    """Return some rows of one column of a row group, holding little more than these.

    Args:
        source, footer: of the file.
        ordinal: of the row group.
        name: of the column.
        span: the rows, half-open, within the row group.
        pages: of the column; None reads all rows before ``span``, too, and drops them.
        dictionary: columns to read as dictionaries.
        is_local: whether the file is on a local disk.

    Raises:
        pa.ArrowException, OSError: the file is damaged.

    """
    first = 0
    file: pa.NativeFile = source
    if pages is not None:
        page = pages.holding(span[0])
        first = pages.rows[page]
        file = pa.PythonFile(
            _WithoutPages(source, pages.starts[0], pages.starts[page], pages.starts[-1]), "r"
        )
    reader = pq.ParquetFile(
        file,
        metadata=footer,
        read_dictionary=dictionary,
        pre_buffer=False,
        buffer_size=_LOCAL_BYTES if is_local else _REMOTE_BYTES,
        page_checksum_verification=True,
    )
    parts, kind = [], None
    for batch in reader.iter_batches(_BATCH_ROWS, row_groups=[ordinal], columns=[name], use_threads=False):
        column, last = batch.column(0), first + batch.num_rows
        kind = column.type
        low, high = max(span[0], first), min(span[1], last)
        if low < high:
            parts.append(column.slice(low - first, high - low))
        first = last
        if first >= span[1]:
            break
    return pa.chunked_array(parts, kind)


class _WithoutPages:
    """A file less its bytes from ``cut`` to ``go_on``, and of which those from ``end`` on are not there.

    It says that it is as long as before, because Arrow compares its length with the footer's. A chunk that
    ends early is no error to Arrow.
    """

    closed = False

    def __init__(self, source: pa.NativeFile, cut: int, go_on: int, end: int) -> None:
        self._source, self._cut, self._skipped, self._end = source, cut, go_on - cut, end
        self._at, self._size = 0, source.size()

    def read(self, length: int = -1) -> bytes:
        """Return so many bytes, fewer only at the end."""
        end = self._end - self._skipped
        stop = end if length < 0 else min(end, self._at + length)
        parts = []
        if self._at < min(stop, self._cut):
            parts.append(self._source.read_at(min(stop, self._cut) - self._at, self._at))
        if stop > max(self._at, self._cut):
            first = max(self._at, self._cut)
            parts.append(self._source.read_at(stop - first, first + self._skipped))
        taken = b"".join(parts)
        self._at += len(taken)
        return taken

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place."""
        self._at = (0, self._at, self._size)[whence] + offset
        return self._at

    def tell(self) -> int:
        """Return the place."""
        return self._at

    def close(self) -> None:
        """Do nothing: the file is closed by who opened it."""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True


def _begin(chunk: pq.ColumnChunkMetaData) -> int:
    """Return where a column chunk begins, as Arrow finds it."""
    begin = int(chunk.data_page_offset)
    if chunk.has_dictionary_page and chunk.dictionary_page_offset:
        begin = min(begin, int(chunk.dictionary_page_offset))
    return begin


def _header(ahead: _Ahead, at: int) -> tuple[dict[int, Any], int]:
    """Return the fields of a page header by their numbers, and its length."""
    length = _HEADER_BYTES
    while True:
        taken = ahead.take(at, length)
        try:
            parsed = _Struct(taken)
            return parsed.fields(), parsed.at
        except IndexError:  # it is longer than what was read
            if len(taken) < length or length >= _MOST_HEADER_BYTES:
                raise pa.ArrowInvalid(f"the page header at byte {at:,} has no end") from None
            length *= 8


class _Struct:
    """A struct in Thrift's compact protocol.

    Args:
        content: begins with it.

    """

    def __init__(self, content: bytes) -> None:
        self._content, self.at = content, 0

    def fields(self, depth: int = 0) -> dict[int, Any]:
        """Return integers and structs by the number of their field; the rest is passed over.

        Raises:
            IndexError: the content ends before it does.
            pa.ArrowInvalid: it is none.

        """
        if depth > _DEEPEST:
            raise pa.ArrowInvalid("a page header has structs within structs without end")
        found: dict[int, Any] = {}
        number = 0
        while (mark := self._byte()) != 0:
            number = number + (mark >> 4) if mark >> 4 else self._signed()
            found[number] = self._value(mark & 15, depth)
        return found

    def _value(self, kind: int, depth: int, *, in_list: bool = False) -> Any:
        if kind in (_TRUE, _FALSE):
            return self._byte() if in_list else kind == _TRUE
        if kind == _STRUCT:
            return self.fields(depth + 1)
        if kind in (_LIST, _SET):
            mark = self._byte()
            number = mark >> 4 if mark >> 4 < 15 else self._unsigned()
            self._see(number)  # each takes a byte at least
            for _ in range(number):
                self._value(mark & 15, depth + 1, in_list=True)
            return None
        if kind == _MAP or not _BYTE <= kind <= _BINARY:
            raise pa.ArrowInvalid("a page header has a field of unknown type")
        if kind in (_BYTE, _DOUBLE, _BINARY):
            self._skip({_BYTE: 1, _DOUBLE: 8}.get(kind) or self._unsigned())
            return None
        return self._signed()

    def _byte(self) -> int:
        value = self._content[self.at]
        self.at += 1
        return value

    def _see(self, length: int) -> None:
        if self.at + length > len(self._content):
            raise IndexError

    def _skip(self, length: int) -> None:
        self._see(length)
        self.at += length

    def _unsigned(self) -> int:
        value, shift = 0, 0
        while True:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise pa.ArrowInvalid("a page header has a number of more than 64 bits")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
