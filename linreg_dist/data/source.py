"""Where the Parquet files are: paths, globs and URIs resolved to a list of files.

Only pyarrow's own file systems are used, so the same code reads a laptop's folder, S3 and GCS.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from pyarrow import fs

from linreg_dist import liveness
from linreg_dist.data.tables.find import refuse_tables_below
from linreg_dist.data.tables.snapshot import Positions, TableColumn
from linreg_dist.errors import DataError
from linreg_dist.spec import is_uri
from linreg_dist.storage import open_filesystem as open_any
from linreg_dist.storage import retried, split_query, without_credentials

_GLOB_CHARACTERS = "*?["
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_INTEGER = re.compile(r"-?[0-9]{1,18}")  # 18 digits always fit into int64


@dataclass(frozen=True)
class FoundFile:
    """One Parquet file.

    Attributes:
        uri: absolute path or URI that `open_input` takes.
        key: path below the root it was found under; the file's identity when the data set moves.
        size: bytes.
        partition: hive keys read from its folders (``month=1`` gives ``{"month": 1}``), or the partition
            values of a table.
        columns: the columns of the table that the file is part of; None is a file that speaks for itself.
        deleted: rows of the file that the table has deleted, ascending.

    """

    uri: str
    key: str
    size: int
    partition: dict[str, Any]
    columns: tuple[TableColumn, ...] | None = None
    deleted: Positions = field(default_factory=lambda: np.empty(0, np.int64), compare=False)


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Return pyarrow's file system for ``uri`` and the path inside it.

    Raises:
        DataError: the scheme is unknown or the URI malformed.
        SpecError: there are credentials in the URI.

    """
    try:
        return open_any(uri)
    except ValueError as error:
        raise DataError(
            f"cannot open {without_credentials(uri)}: {error}; expected a local path, s3://, gs://, hdfs:// "
            "or file://"
        ) from error


def find_files(
    paths: Sequence[str], *, tables_as_files: bool = False
) -> tuple[list[FoundFile], dict[str, pa.DataType]]:
    """Resolve files, directories and globs to Parquet files in a stable order.

    In a glob ``*``, ``?`` and ``[…]`` stay within one folder and ``**`` stands for any number of folders, as
    in a shell; a folder that matches is read as a folder. A path that exists is taken as it is, whatever
    characters it has. Hidden files and those starting with ``_`` are skipped, as Spark and pyarrow do. Hive
    keys become columns: integers where every value is one, strings otherwise. A folder that holds a Delta,
    Iceberg or Hudi table is refused unless ``tables_as_files``.

    Returns:
        The files ordered as given and by key within one path, and the types of the hive columns.

    Raises:
        DataError: nothing is there, or it holds no Parquet file.

    """
    listed: list[tuple[str, str, int]] = []
    for path in paths:
        found = _list_one(path, tables_as_files=tables_as_files)
        if not found:
            raise DataError(
                f"no Parquet files at {path}: expected a .parquet file, a folder that holds some, or a "
                f"glob that matches"
            )
        listed.extend(found)
    seen: dict[str, int] = {}
    for uri, _, _ in listed:
        seen[uri] = seen.get(uri, 0) + 1
    doubled = [uri for uri, count in seen.items() if count > 1]
    if doubled:
        raise DataError(
            f"{doubled[0]} is named {seen[doubled[0]]} times by data.path: each row would count more than "
            f"once; "
            "list every file, folder or glob once"
        )
    types, partitions = _hive_partitions([_hive_folders(uri, key) for uri, key, _ in listed])
    files = [
        FoundFile(uri=uri, key=key, size=size, partition=partition)
        for (uri, key, size), partition in zip(listed, partitions, strict=True)
    ]
    return files, types


def _list_one(path: str, *, tables_as_files: bool) -> list[tuple[str, str, int]]:
    """List ``(uri, key, size)`` below one path of the spec, sorted by key."""
    filesystem, root = open_filesystem(path)
    # What precedes the path inside the file system, so that listed paths become URIs again (query included).
    stem, query = split_query(path) if is_uri(path) else (path, "")
    prefix = stem.partition(root)[0] if is_uri(path) else ""
    glob = None
    base = root.rstrip("/") or "/"
    try:
        info = retried(lambda: filesystem.get_file_info(base), "look for", path)
        if info.type == fs.FileType.NotFound and any(character in root for character in _GLOB_CHARACTERS):
            fixed = root[: min(root.index(c) for c in _GLOB_CHARACTERS if c in root)]
            base = posixpath.dirname(fixed)
            glob = root[len(base) :].strip("/").split("/")
            base = base or "."
            info = retried(lambda: filesystem.get_file_info(base), "look for", path)
        if info.type == fs.FileType.NotFound:
            raise DataError(f"data.path {path} does not exist; expected Parquet files, a folder or a glob")
        if info.type == fs.FileType.File:
            return [(path, posixpath.basename(base), info.size)]
        selector = fs.FileSelector(base, recursive=True)
        # One call, however many files there are: nothing tells whether it gets on.
        with liveness.process.waiting(f"listing {path}"):
            children = retried(lambda: filesystem.get_file_info(selector), "list", path)
    except OSError as error:
        raise DataError(f"cannot list {path}: {error}") from error
    if not tables_as_files:
        refuse_tables_below(path, (posixpath.relpath(child.path, base) for child in children))
    found = []
    for child in children:
        key = posixpath.relpath(child.path, base)
        if child.type != fs.FileType.File or any(part[0] in "._" for part in key.split("/")):
            continue
        if _is_wanted(key, glob):
            found.append((prefix + child.path + query, key, child.size))
    return sorted(found, key=lambda item: item[1])


def _is_wanted(key: str, glob: list[str] | None) -> bool:
    """Return whether a file below the root is Parquet, or matches the glob, itself or by a folder above
    it.
    """
    *folders, name = key.split("/")
    if glob is None:
        return _has_parquet_suffix(name)
    if fnmatch.fnmatchcase(name, glob[-1]) and glob[-1] != "**" and _folders_match(folders, glob[:-1]):
        return True
    return _has_parquet_suffix(name) and any(
        _folders_match(folders[:depth], glob) for depth in range(len(folders) + 1)
    )


def _folders_match(folders: list[str], glob: list[str]) -> bool:
    if not glob:
        return not folders
    if glob[0] == "**":
        return any(_folders_match(folders[skipped:], glob[1:]) for skipped in range(len(folders) + 1))
    return (
        bool(folders) and fnmatch.fnmatchcase(folders[0], glob[0]) and _folders_match(folders[1:], glob[1:])
    )


def _has_parquet_suffix(name: str) -> bool:
    return name.lower().endswith((".parquet", ".pq", ".parq"))


def _hive_folders(uri: str, key: str) -> list[str]:
    """Return the folders below the root, and those just above it that are hive keys.

    So ``flights/month=3`` has the column ``month`` whether the path given was ``flights`` or
    ``flights/month=3``.
    """
    below = posixpath.dirname(key).split("/")
    above = split_query(uri)[0].removesuffix(key).rstrip("/").split("/")
    first = len(above)
    while first > 0 and "=" in above[first - 1]:
        first -= 1
    return [*above[first:], *below]


def _hive_partitions(
    folders_of_files: Sequence[Sequence[str]],
) -> tuple[dict[str, pa.DataType], list[dict[str, Any]]]:
    """Read the ``name=value`` folders of each file; a column is int64 where every value is an integer."""
    raw = [
        {unquote(part.split("=", 1)[0]): part.split("=", 1)[1] for part in folders if "=" in part}
        for folders in folders_of_files
    ]
    names = list(dict.fromkeys(name for values in raw for name in values))
    types: dict[str, pa.DataType] = {}
    partitions: list[dict[str, Any]] = [{} for _ in raw]
    for name in names:
        texts = [
            None if values.get(name, _HIVE_NULL) == _HIVE_NULL else unquote(values[name]) for values in raw
        ]
        integral = all(text is None or _INTEGER.fullmatch(text) for text in texts)
        types[name] = pa.int64() if integral else pa.string()
        for partition, text in zip(partitions, texts, strict=True):
            partition[name] = int(text) if integral and text is not None else text
    return types, partitions
