"""Parquet files of a data path: paths, globs and URIs resolved to a list of files.

Only pyarrow's own file systems are used, so the same code reads a laptop's folder, S3 and GCS.
"""

from __future__ import annotations

import fnmatch
import os
import posixpath
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Literal
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
from pyarrow import fs

from linreg_dist.data.source.listing import (
    Entry,
    Identity,
    Listing,
    has_parquet_suffix,
    identify,
    list_folder,
)
from linreg_dist.data.tables.find import refuse_tables_below
from linreg_dist.data.tables.snapshot import Positions, TableColumn
from linreg_dist.documents import SkippedFile
from linreg_dist.errors import DataError, SpecError
from linreg_dist.jobspec import is_uri
from linreg_dist.storage import open_filesystem as open_any
from linreg_dist.storage import retried, split_query
from linreg_dist.wording.secrets import show_uri

_GLOB_CHARACTERS = "*?["
_SHOWN = 10
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"
_PLAIN_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_INTEGER = re.compile(r"-?[0-9]{1,18}")  # 18 digits always fit into int64


KeyRule = Literal["always", "unless plain"]


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
        identity: what the file is, whatever it is called; see `Identity`.

    """

    uri: str
    key: str
    size: int
    partition: dict[str, Any]
    columns: tuple[TableColumn, ...] | None = None
    deleted: Positions = field(default_factory=lambda: np.empty(0, np.int64), compare=False)
    identity: Identity | None = None


@dataclass(frozen=True)
class FoundFiles:
    """The files of a data set.

    Attributes:
        files: ordered as given, and by key within one path.
        types: of the hive columns.
        skipped: entries that look like data and are not read.

    """

    files: list[FoundFile]
    types: dict[str, pa.DataType]
    skipped: list[SkippedFile] = field(default_factory=list)


def open_filesystem(uri: str) -> tuple[fs.FileSystem, str]:
    """Return pyarrow's file system for ``uri`` and the path inside it.

    Raises:
        DataError: the scheme is unknown or the URI malformed.
        SpecError: there are credentials in the URI, or it is of a hub to download from.

    """
    try:
        return open_any(uri)
    except ValueError as error:
        if uri.startswith("hf://"):
            raise SpecError(
                f"{show_uri(uri)} cannot be read where it is; download it first: hf download --repo-type "
                "dataset OWNER/NAME --local-dir FOLDER, and give the folder with its Parquet"
            ) from error
        raise DataError(
            f"cannot open {show_uri(uri)}: {error}; expected a local path, s3://, gs://, hdfs:// or file://"
        ) from error


def absolute_paths(paths: Sequence[str]) -> list[str]:
    """Return paths that were given on the command line: absolute, but for URIs.

    Raises:
        SpecError: one is empty, as an unset variable of the shell leaves it.

    """
    if not all(paths):
        raise SpecError("the path of the data is empty; expected a file, a folder, a glob or a URI")
    return [path if is_uri(path) else os.path.abspath(path) for path in paths]


def find_files(
    paths: Sequence[str],
    *,
    tables_as_files: bool = False,
    skip_bad: bool = False,
    text_keys: Mapping[str, KeyRule] = MappingProxyType({}),
) -> FoundFiles:
    """Resolve files, directories and globs to Parquet files in a stable order.

    In a glob ``*``, ``?`` and ``[…]`` stay within one folder and ``**`` stands for any number of folders, as
    in a shell; a folder that matches is read as a folder. A path that exists is taken as it is, whatever
    characters it has. Hidden files and those starting with ``_`` are skipped, as Spark and pyarrow do. A file
    with several names below one path is read once. Hive keys become columns: integers where every value is
    one, strings otherwise. A folder that holds a Delta, Iceberg or Hudi table is refused unless
    ``tables_as_files``.

    Args:
        paths: files, folders, globs, URIs.
        tables_as_files: read every file in a table's folder.
        skip_bad: leave out, and name, entries that should be read and cannot; else they are an error.
        text_keys: hive keys that are text: "always", or "unless plain": where a value is no integer or is one
            in another spelling, such as 007.

    Raises:
        DataError: nothing is there, it holds no Parquet file, one file is there twice, or an entry that looks
            like data cannot be read.

    """
    listed: list[tuple[str, Entry]] = []
    skipped: list[SkippedFile] = []
    bad: list[SkippedFile] = []
    for path in paths:
        prefix, query, listing = _list_one(path, tables_as_files=tables_as_files)
        skipped += [_as_uri(item, prefix, query) for item in listing.skipped]
        bad += [_as_uri(item, prefix, query) for item in listing.bad]
        if not listing.files and not listing.bad:
            raise DataError(
                f"no Parquet files at {path}: expected a .parquet file, a folder that holds some, or a "
                f"glob that matches"
            )
        listed += [(prefix + entry.path + query, entry) for entry in listing.files]
    if bad and not skip_bad:
        raise DataError(_refusal(bad))
    if not listed:
        raise DataError(f"no file of {', '.join(paths)} can be read: {_refusal(bad)}")
    _refuse_doubled(listed)
    types, partitions = _hive_partitions([_hive_folders(uri, entry.key) for uri, entry in listed], text_keys)
    files = [
        FoundFile(uri, entry.key, entry.size, partition, identity=entry.identity)
        for (uri, entry), partition in zip(listed, partitions, strict=True)
    ]
    return FoundFiles(files, types, skipped + bad)


def _refuse_doubled(listed: Sequence[tuple[str, Entry]]) -> None:
    """Refuse a file that several entries of data.path lead to.

    Raises:
        DataError: names it, by both names where there are two.

    """
    counts = Counter(entry.identity for _, entry in listed)
    identity, count = counts.most_common(1)[0]
    if count == 1:
        return
    names = list(dict.fromkeys(uri for uri, entry in listed if entry.identity == identity))
    also = f" (also called {', '.join(names[1:])})" if len(names) > 1 else ""
    raise DataError(
        f"{names[0]}{also} is named {count} times by data.path: each row would count more than once; list "
        "every file, folder or glob once"
    )


def _refusal(bad: Sequence[SkippedFile]) -> str:
    lines = [f"{item.path}: {item.reason}" for item in bad[:_SHOWN]]
    more = f"\nand {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
    return (
        f"{len(bad):,} {'entry' if len(bad) == 1 else 'entries'} of the data cannot be read:\n"
        + "\n".join(lines)
        + f"{more}\nRepair or remove them, or leave them out by data.on_bad_file: skip"
    )


def _as_uri(item: SkippedFile, prefix: str, query: str) -> SkippedFile:
    return SkippedFile(path=prefix + item.path + query, reason=item.reason)


def _list_one(path: str, *, tables_as_files: bool) -> tuple[str, str, Listing]:
    """List what is below one path of the spec; also what makes a listed path a URI again."""
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
            entry = Entry(base, posixpath.basename(base), info.size, identify(filesystem, base))
            return prefix, query, Listing([entry])
        is_wanted = None if glob is None else partial(_matches, glob)
        listing = list_folder(filesystem, base, path, is_wanted)
    except OSError as error:
        raise DataError(f"cannot list {path}: {error}") from error
    if not tables_as_files:
        refuse_tables_below(path, listing.marks)
    return prefix, query, listing


def _matches(glob: list[str], key: str) -> bool:
    """Return whether a file below the root matches the glob, itself or by a folder above it."""
    *folders, name = key.split("/")
    if fnmatch.fnmatchcase(name, glob[-1]) and glob[-1] != "**" and _folders_match(folders, glob[:-1]):
        return True
    return has_parquet_suffix(name) and any(
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
    folders_of_files: Sequence[Sequence[str]], text_keys: Mapping[str, KeyRule]
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
        rule = text_keys.get(name)
        pattern = _PLAIN_INTEGER if rule == "unless plain" else _INTEGER
        integral = rule != "always" and all(text is None or pattern.fullmatch(text) for text in texts)
        types[name] = pa.int64() if integral else pa.string()
        for partition, text in zip(partitions, texts, strict=True):
            partition[name] = int(text) if integral and text is not None else text
    return types, partitions
