"""A snapshot of a table: its files, how their columns are named, and which of their rows are deleted."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist import limits
from linreg_dist.errors import DataError, StorageError
from linreg_dist.storage import is_transient

_FIELD_ID = b"PARQUET:field_id"
_WHOLE_NUMBER = re.compile(r"[0-9]+")

Positions = npt.NDArray[np.int64]


@dataclass(frozen=True)
class TableColumn:
    """A column of a table and where a file holds it.

    Attributes:
        name: the column's name in the table today.
        stored_name: its name in a file that has no field ids.
        field_id: the number that stands for it in the files, or None where the format goes by name.

    """

    name: str
    stored_name: str
    field_id: int | None = None


@dataclass(frozen=True)
class TableFile:
    """A file of a snapshot.

    Attributes:
        uri: absolute path or URI.
        key: path below the table's folder, or the URI of a file that is not below it.
        size: bytes.
        partition: the values of partition columns that the file may lack, from the table's log.
        deleted: numbers of deleted rows within the file, ascending; empty where there are none.

    """

    uri: str
    key: str
    size: int
    partition: Mapping[str, Any]
    deleted: Positions = field(default_factory=lambda: np.empty(0, np.int64), compare=False)


@dataclass(frozen=True)
class Snapshot:
    """One version of a table.

    Attributes:
        format: ``delta`` or ``iceberg``.
        path: the table's folder as the user named it.
        version: the Delta version or the Iceberg snapshot id.
        files: its live files, ordered by key.
        columns: its columns, in the table's order.
        partition_types: types of the partition columns that files may lack.
        schema: all of its columns, partition columns included, by their names and types in the table.

    """

    format: str
    path: str
    version: int
    files: tuple[TableFile, ...]
    columns: tuple[TableColumn, ...]
    partition_types: Mapping[str, pa.DataType]
    schema: pa.Schema


class TableFormat(Protocol):
    """A table format: how a folder is recognised, and how one of its versions is resolved."""

    name: str
    extra: str

    def snapshot(self, path: str, version: int | str | None) -> Snapshot:
        """Resolve a version of the table at ``path``; None is the current one.

        Raises:
            SpecError: the format's library is not installed.
            DataError: no such version, or the table needs what is not supported, by name.

        """


@contextmanager
def errors_of(table: str, *kinds: type[Exception]) -> Iterator[None]:
    """Turn what a format's library raises into one of our errors.

    Args:
        table: in words, with its path.
        kinds: the library's own errors, beside the usual ones.

    Raises:
        StorageError: the store does not answer.
        DataError: anything else that is the table's.

    """
    try:
        yield
    except (*kinds, OSError, ValueError, KeyError, NotImplementedError, pa.ArrowException) as error:
        limits.let_through(error)
        text = " ".join(str(error).split())
        if is_transient(error):
            raise StorageError(
                f"the store of the {table} does not answer: {text}; try again later"
            ) from error
        raise DataError(f"cannot read the {table}: {text}") from error


def stored_columns(columns: tuple[TableColumn, ...], schema: pa.Schema) -> dict[str, str]:
    """Return the file's name of each table column that the file holds, by the table's name.

    A file that has field ids is matched by them alone: a column that was dropped and added again under its
    old name is another column.
    """
    by_id = {
        int(item.metadata[_FIELD_ID]): item.name
        for item in schema
        if item.metadata and _FIELD_ID in item.metadata
    }
    found = {}
    for column in columns:
        if column.field_id is not None and by_id:
            stored = by_id.get(column.field_id)
        else:
            stored = column.stored_name if column.stored_name in schema.names else None
        if stored is not None:
            found[column.name] = stored
    return found


def count_between(deleted: Positions, start: int, stop: int) -> int:
    """Return how many of the deleted rows have a number of at least ``start`` and below ``stop``."""
    first, last = np.searchsorted(deleted, (start, stop))
    return int(last - first)


def content_digest(footer_sha256: str, stored: Mapping[str, str], deleted: Positions) -> str:
    """Return a sha256 of a file's footer with its column names and its deleted rows."""
    digest = hashlib.sha256(footer_sha256.encode())
    digest.update(repr(sorted(stored.items())).encode())
    digest.update(np.ascontiguousarray(deleted, dtype="<i8").tobytes())
    return digest.hexdigest()


def as_number(version: int | str | None) -> int | None:
    """Return a version that is a whole number, as a number or as text, else None."""
    if isinstance(version, str):
        return int(version) if _WHOLE_NUMBER.fullmatch(version.strip()) else None
    return version


def as_time(path: str, version: str) -> datetime:
    """Read a version that is a time; UTC unless it names a zone.

    Raises:
        DataError: the text is no time.

    """
    try:
        time = datetime.fromisoformat(version.strip())
    except ValueError as error:
        raise DataError(
            f"data.version {version!r} of {path} is neither a number nor a time; expected a version, a "
            "snapshot id, or a time such as 2026-11-27T06:00:00Z"
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def latest_before(path: str, version: str, versions: list[tuple[int, int]]) -> int:
    """Return the last version made at or before a time.

    Args:
        path: the table, for messages.
        version: the time as the user wrote it.
        versions: ``(milliseconds since 1970, version)`` of every version that is still known.

    Raises:
        DataError: the table is younger than that, or the text is no time.

    """
    time = as_time(path, version)
    limit = time.timestamp() * 1000
    before = [item for item in sorted(versions) if item[0] <= limit]
    if not before:
        first = datetime.fromtimestamp(min(versions)[0] / 1000, UTC).isoformat(timespec="seconds")
        raise DataError(
            f"{path} has no version at {time.isoformat()}: the first one known is of {first}; give "
            "data.version a later time"
        )
    return before[-1][1]
