"""polars as a decoder of plain numbers, in reader processes alone.

polars decodes such columns in about two thirds of pyarrow's time, and equal bit for bit. It is used where the
footer says that it pays and that both agree: a local file, columns of plain numbers, no encoding that polars
is slow at, no page checksums, which it would not verify. It maps the file; a process that maps a file which
somebody shortens is ended by the kernel, and its threads are set once for the whole process. Neither may
happen to a caller, so a caller decodes by pyarrow. A row group that is read again is read without mapping.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.util import find_spec
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_PLAIN = tuple(
    getattr(pa, name)()
    for name in ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16")
)
_FAST_ENCODINGS = {"PLAIN", "RLE", "RLE_DICTIONARY", "PLAIN_DICTIONARY", "BIT_PACKED"}
_HEADER_BYTES = 64
_I32 = 0x15  # Thrift's compact protocol: the next field, an int32
_FILES_KEPT = 64


class _Decoder:
    is_on = False


def enable(*, is_on: bool) -> None:
    """Let this process decode by polars from now on, or not."""
    _Decoder.is_on = is_on


def is_enabled() -> bool:
    """Return whether this process decodes by polars where that pays."""
    return _Decoder.is_on


@lru_cache(maxsize=1)
def is_there() -> bool:
    """Return whether polars is installed."""
    return find_spec("polars") is not None


def decode(
    path: str, footer: pq.FileMetaData, ordinal: int, names: Sequence[str], leaves: Sequence[int]
) -> pa.Table | None:
    """Return columns of a row group of a local file; None where pyarrow is to decode them.

    Args:
        path: of the file.
        footer: of it.
        ordinal: of the row group.
        names: of the columns, all of them in the file.
        leaves: their places in the footer.

    """
    if not is_there() or not names or not _pays(footer, ordinal, leaves) or _has_checksums(path, footer):
        return None
    import polars as pl

    start = sum(footer.row_group(before).num_rows for before in range(ordinal))
    try:
        lazy = _lazy(path).slice(start, footer.row_group(ordinal).num_rows).select(list(names))
        table: pa.Table = lazy.collect().rechunk().to_arrow()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        logger.debug("polars cannot decode %s: %s", path, error)
        return None
    schema = footer.schema.to_arrow_schema()
    wanted = [schema.field(name).type for name in names]
    return table if table.schema.types == wanted else None


@lru_cache(maxsize=_FILES_KEPT)
def _lazy(path: str) -> Any:
    import polars as pl

    return pl.scan_parquet(path, glob=False, hive_partitioning=False)


def _pays(footer: pq.FileMetaData, ordinal: int, leaves: Sequence[int]) -> bool:
    group, schema = footer.row_group(ordinal), footer.schema
    arrow = {field.name: field.type for field in schema.to_arrow_schema()}
    for leaf in leaves:
        chunk = group.column(leaf)
        if arrow.get(chunk.path_in_schema) not in _PLAIN or not set(chunk.encodings) <= _FAST_ENCODINGS:
            return False
    return True


@lru_cache(maxsize=_FILES_KEPT)
def _first_header(path: str, at: int) -> bytes:
    with open(path, "rb") as file:
        file.seek(at)
        return file.read(_HEADER_BYTES)


def _has_checksums(path: str, footer: pq.FileMetaData) -> bool:
    """Return whether the first page of a file has a checksum, or its header is not what is expected.

    A page header begins with three int32 (type, size, compressed size); a fourth in a row is the checksum.
    """
    chunk = footer.row_group(0).column(0)
    starts = [chunk.data_page_offset]
    if chunk.has_dictionary_page and chunk.dictionary_page_offset is not None:
        starts.append(chunk.dictionary_page_offset)
    try:
        header = _first_header(path, min(starts))
    except OSError:
        return True
    at = 0
    for _ in range(3):
        if at >= len(header) or header[at] != _I32:
            return True
        at += 1
        while at < len(header) and header[at] & 0x80:
            at += 1
        at += 1
    return at >= len(header) or header[at] == _I32
