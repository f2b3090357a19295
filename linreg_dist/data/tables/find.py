"""Recognition of tables: which format the folder of a data path has, and the snapshot to read."""

from __future__ import annotations

from collections.abc import Iterable

from pyarrow import fs

from linreg_dist.data.tables.delta import Delta
from linreg_dist.data.tables.iceberg import METADATA_SUFFIX, Iceberg
from linreg_dist.data.tables.snapshot import Snapshot, TableFormat
from linreg_dist.errors import DataError
from linreg_dist.storage import open_filesystem, retried, split_query

FORMATS: dict[str, TableFormat] = {"delta": Delta(), "iceberg": Iceberg()}
"""The table formats by their names in ``data.format``."""

_FILE_SUFFIXES = (".parquet", ".pq", ".parq")


def find_snapshot(path: str, table_format: str = "auto", version: int | str | None = None) -> Snapshot | None:
    """Return the snapshot of the table at ``path``, or None if it is plain Parquet.

    Args:
        path: absolute path or URI.
        table_format: ``auto`` looks; ``parquet`` never takes a folder for a table; else the format's name.
        version: a version, a snapshot id or a time; None is the current one.

    Raises:
        DataError: the folder is a table of another format than was said, or of one that is not supported.
        SpecError: the format's library is not installed.

    """
    if table_format == "parquet":
        return None
    kind = format_of(path)
    if kind == "hudi":
        raise DataError(
            f"{path} is a Hudi table, which is not supported; export a snapshot of it as Parquet, Delta or "
            "Iceberg"
        )
    if table_format != "auto" and kind != table_format:
        raise DataError(
            f"data.format is {table_format}, and {path} is no such table "
            f"({'it is a ' + kind + ' table' if kind else 'plain files, or nothing'}); correct one of them"
        )
    if kind is None and version is not None:
        raise DataError(
            f"data.version {version} was given, and {path} is no Delta or Iceberg table: plain Parquet has "
            "no versions; leave data.version out"
        )
    return None if kind is None else FORMATS[kind].snapshot(path, version)


def format_of(path: str) -> str | None:
    """Return ``delta``, ``iceberg`` or ``hudi`` for a table's folder, None for anything else."""
    base = split_query(path)[0].rstrip("/")
    if base.endswith(METADATA_SUFFIX):
        return "iceberg"
    if base.lower().endswith(_FILE_SUFFIXES):  # a long list of files is not worth a request each
        return None
    try:
        filesystem, root = open_filesystem(path)
    except ValueError:  # whoever lists the path says so, in the user's terms
        return None
    marks = {"_delta_log": "delta", ".hoodie": "hudi", "metadata": "iceberg"}
    base = root.rstrip("/")
    try:
        found = retried(
            lambda: filesystem.get_file_info([f"{base}/{mark}" for mark in marks]), "look for", path
        )
    except OSError as error:
        raise DataError(f"cannot list {path}: {error}") from error
    for info, kind in zip(found, marks.values(), strict=True):
        if info.type != fs.FileType.Directory:
            continue
        if kind != "iceberg" or _has_metadata(filesystem, info.path):
            return kind
    return None


def refuse_tables_below(path: str, keys: Iterable[str]) -> None:
    """Refuse to read the files of a table one by one, as a folder above it or a glob into it would.

    Args:
        path: the data path, for the message.
        keys: everything listed below it, relative.

    Raises:
        DataError: there is a table among it.

    """
    for key in keys:
        parts = key.split("/")
        for mark, kind in (("_delta_log", "Delta"), (".hoodie", "Hudi")):
            if mark in parts:
                raise _inside(path, kind, parts[: parts.index(mark)])
        if len(parts) > 1 and parts[-2] == "metadata" and parts[-1].endswith(METADATA_SUFFIX):
            raise _inside(path, "Iceberg", parts[:-2])


def _inside(path: str, kind: str, folders: list[str]) -> DataError:
    where = "/".join(folders) or "."
    return DataError(
        f"{path} holds the {kind} table {where}, whose folder also has files that are no longer part of it; "
        "expected the folder of one table in data.path, or data.format: parquet to read every file as it is"
    )


def _has_metadata(filesystem: fs.FileSystem, folder: str) -> bool:
    listed = filesystem.get_file_info(fs.FileSelector(folder, allow_not_found=True))
    return any(info.path.endswith(METADATA_SUFFIX) for info in listed)
