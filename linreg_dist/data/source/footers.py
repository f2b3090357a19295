"""Footers of Parquet files: read so that a damaged one is an error, and never the end of this process."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist import limits, liveness
from linreg_dist.data.source.files import open_filesystem
from linreg_dist.errors import DataError
from linreg_dist.storage import one_line, retried

_TAIL_BYTES = 1 << 16  # holds most footers, so that one request is enough
_MAX_ROWS = 1 << 48  # of a file
_CHILD = Path(__file__).with_name("describe_chunks.py")
_CHILD_TIMEOUT_S = 300.0
_READERS = {"json": "json.read_json", "jsonl": "json.read_json", "ndjson": "json.read_json"}
_TEXTS = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson")
_WHAT = re.compile(r"what\(\):\s*(.*)")  # of a C++ exception that nobody caught


@dataclass(frozen=True)
class ColumnChunks:
    """The chunks of one top-level column of a file.

    Attributes:
        name: of the column.
        encodings, codecs: all that occur.
        num_bytes: encoded and not compressed.
        nulls: how many; None where a chunk has no statistics.

    """

    name: str
    encodings: tuple[str, ...]
    codecs: tuple[str, ...]
    num_bytes: int
    nulls: int | None


def read_footer(uri: str) -> bytes:
    """Return the last bytes of a file, with the whole footer in them.

    Raises:
        DataError: it is not there, or no Parquet file.
        StorageError: an object store does not answer.

    """
    filesystem, path = open_filesystem(uri)

    def read() -> bytes:
        with (
            liveness.process.doing(f"reading the footer of {uri}"),
            filesystem.open_input_file(path) as source,
        ):
            tail = _read_tail(source, _TAIL_BYTES)
            length = length_of(tail)
            return tail if len(tail) >= length else _read_tail(source, length)

    try:
        return retried(read, "read", uri)
    except (pa.ArrowException, OSError) as error:
        limits.let_through(error)
        raise _unreadable(uri, error) from error


def length_of(tail: bytes) -> int:
    """Return how many bytes a footer has, with its length and magic word at the end."""
    return int.from_bytes(tail[-8:-4], "little") + 8


def parse_footer(tail: bytes, uri: str) -> tuple[pq.FileMetaData, pa.Schema]:
    """Return what a footer says, and the schema in Arrow's terms.

    Only what pyarrow has parsed by now may be asked of it: rows and bytes of row groups, and the schema.
    Column chunks are for `describe_chunks`.

    Raises:
        DataError: it is damaged, or contradicts itself.

    """
    try:
        footer = pq.read_metadata(pa.BufferReader(tail))
        schema = footer.schema.to_arrow_schema()
        names = schema.names  # raises where they are no UTF-8
        _check_counts(footer)
        _ = [str(kind) for kind in schema.types], names
    except (pa.ArrowException, OSError, ValueError) as error:
        limits.let_through(error)
        raise _unreadable(uri, error) from error
    return footer, schema


def describe_chunks(footers: Sequence[tuple[str, bytes]]) -> list[list[ColumnChunks]]:
    """Return what footers say of column chunks, for each file a list of its top-level columns.

    pyarrow is asked in another process, which a damaged footer may end.

    Args:
        footers: for each file its URI and what `read_footer` returned.

    Raises:
        DataError: a footer is damaged; the message names the file.

    """
    content = b"".join(len(tail).to_bytes(8, "little") + tail for _, tail in footers)
    try:
        done = subprocess.run(  # noqa: S603 (our own interpreter and program)
            [sys.executable, "-P", str(_CHILD)], input=content, capture_output=True, timeout=_CHILD_TIMEOUT_S
        )
    except subprocess.TimeoutExpired as error:
        raise DataError(f"the footers of {len(footers)} file(s) took over {_CHILD_TIMEOUT_S:g} s") from error
    lines = done.stdout.decode().splitlines()
    found = []
    for (uri, _), line in zip(footers, lines, strict=False):
        document = json.loads(line)
        if isinstance(document, dict):
            raise _unreadable(uri, document["error"])
        found.append(
            [
                ColumnChunks(name, tuple(encodings), tuple(codecs), *rest)
                for name, encodings, codecs, *rest in document
            ]
        )
    if len(found) < len(footers):
        raise _unreadable(
            footers[len(found)][0], _why_ended(done.returncode, done.stderr.decode(errors="replace"))
        )
    return found


def _read_tail(source: pa.NativeFile, length: int) -> bytes:
    size = source.size()
    taken: bytes = source.read_at(min(length, size), max(0, size - length))
    return taken


def _check_counts(footer: pq.FileMetaData) -> None:
    """Refuse numbers of rows and bytes that cannot be.

    Raises:
        ValueError: says which.

    """
    total = 0
    for ordinal in range(footer.num_row_groups):
        group = footer.row_group(ordinal)
        if group.num_rows < 0 or group.total_byte_size < 0:
            raise ValueError(
                f"row group {ordinal} has {group.num_rows} rows and {group.total_byte_size} bytes"
            )
        total += group.num_rows
    if not total == footer.num_rows <= _MAX_ROWS:
        raise ValueError(f"the file has {footer.num_rows} rows and its row groups have {total}")


def _why_ended(code: int, err: str) -> str:
    what = _WHAT.search(err)
    if code >= 0:
        lines = [line.strip() for line in err.splitlines() if line.strip()]
        return lines[-1] if lines else f"exit code {code}"
    return what[1] if what else f"Arrow ends its process by {signal.Signals(-code).name}"


def _unreadable(uri: str, error: Exception | str) -> DataError:
    why = error if isinstance(error, str) else one_line(error)
    is_other = "magic bytes" in why or "minimum file footer" in why
    if is_other and uri.lower().partition(".gz")[0].endswith(_TEXTS):
        reader = _READERS.get(uri.rpartition(".")[2], "csv.read_csv")
        return DataError(
            f"{uri} is no Parquet file; expected Parquet. Convert it once, in Python "
            f"pyarrow.parquet.write_table(pyarrow.{reader}('{uri}'), 'rows.parquet'), in DuckDB "
            f"COPY (FROM '{uri}') TO 'rows.parquet'"
        )
    return DataError(f"{uri} cannot be read as Parquet: {why}. Expected a whole Parquet file: write it again")
