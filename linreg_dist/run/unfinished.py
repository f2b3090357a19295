"""Predictions that were stopped half-way: the marker by which the same command goes on.

A folder of predictions holds the marker while `predict` writes into it. The marker says which model and data
the predictions are of, and which files were there before. A file gets its name when it is complete, so what
has appeared since is finished. The marker goes when the last file is there: a finished folder is like any
other, and nothing is written into it unasked.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from linreg_dist._version import __version__
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.errors import RunInUseError, SpecError
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.storage import Location, ObjectPath, open_filesystem, open_regular, read_file, write_whole
from linreg_dist.wording.json_text import parse_object

MARKER = ".linreg_dist-predict"
_FORMAT = "linreg_dist.predict"
_MARKER_BYTES = 256 << 20
_MAX_BYTES = 1 << 62

Version = list[int]
"""Size in bytes and time of the last change in ns, in either order: another one is another content."""


def digest_of(
    model: LinearModel, manifest: Manifest, keep: Sequence[str], interval: float | None = None
) -> str:
    """Return a digest of all that decides what predictions hold: model, data, kept columns and intervals."""
    document: dict[str, Any] = {
        "model": [
            hashlib.sha256(model.weight_bytes).hexdigest(),
            hashlib.sha256(model.intercept_K.tobytes()).hexdigest(),
            model.encoding.to_json(),
            [list(model.targets), model.missing],
        ],
        "data": [[file.key, file.size, file.footer_sha256, _changed_ns(file.uri)] for file in manifest.files],
        "keep": list(keep),
    }
    if interval is not None:
        document["interval"] = interval
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def unfinished(folder: Location, digest: str, earlier: Mapping[str, Version]) -> Iterator[dict[str, Version]]:
    """Have the marker in a folder of predictions while the block writes them; it goes if the block succeeds.

    Args:
        folder: where predictions are written.
        digest: see `digest_of`.
        earlier: versions of the files that are there now and are to be replaced, by their keys.

    Yields:
        The files that were there before an earlier attempt at the same predictions began, which are not
        finished. It is ``earlier`` where there was no such attempt.

    Raises:
        RunInUseError: another process writes these predictions now.
        OSError: the folder cannot be written to.

    """
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / MARKER):
        begun = begun_with(folder, digest)
        if begun is None:
            begun = dict(earlier)
            document = {"format": _FORMAT, "version": 1, "made_by": f"linreg_dist {__version__}"}
            text = json.dumps(document | {"digest": digest, "earlier": begun}) + "\n"
            _write(folder / MARKER, text)
        try:
            yield begun
        except Exception:
            if isinstance(folder, Path) and [path.name for path in folder.iterdir()] == [MARKER]:
                (folder / MARKER).unlink()  # what failed before it wrote anything leaves nothing behind
                folder.rmdir()
            raise
        (folder / MARKER).unlink(missing_ok=True)


def begun_with(folder: Location, digest: str) -> dict[str, Version] | None:
    """Return the files that were there before an unfinished attempt at the same predictions began; None
    without such an attempt.
    """
    try:
        document: dict[str, Any] = parse_object(read_file(folder / MARKER, _MARKER_BYTES))
    except (OSError, ValueError, SpecError):  # none, or one that was not written to its end
        return None
    earlier = document.get("earlier")
    if document.get("format") != _FORMAT or document.get("digest") != digest or not isinstance(earlier, dict):
        return None
    return earlier


def version_of(file: Location) -> Version | None:
    """Return the version of a file, None without one."""
    if isinstance(file, ObjectPath):
        found = file.version()
        return None if found is None else list(found)
    try:
        status = file.stat()
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def nulls_of_finished(file: Location, names: Sequence[str], rows: int) -> int | None:
    """Return how many of the first predictions of a finished file are null; None where it is not finished.

    Args:
        file: where it is.
        names: its columns.
        rows: how many it must have.

    """
    try:
        if isinstance(file, ObjectPath):
            filesystem, path = file.filesystem
            footer = pq.read_metadata(path, filesystem=filesystem)
        else:
            with open_regular(file, _MAX_BYTES) as source:
                footer = pq.read_metadata(source)
    except (OSError, ValueError):  # pyarrow's errors are of these
        return None
    if footer.num_rows != rows or footer.schema.to_arrow_schema().names != list(names):
        return None
    return _nulls(footer, next(at for at, name in enumerate(names) if name.startswith("prediction")))


def _nulls(footer: Any, column: int) -> int | None:
    nulls = 0
    for group in range(footer.num_row_groups):
        statistics = footer.row_group(group).column(column).statistics
        if statistics is None or not statistics.has_null_count:
            return None
        nulls += statistics.null_count
    return nulls


def _changed_ns(uri: str) -> int | None:
    """Return when a local file was changed; the footer of an object and its size must do."""
    filesystem, path = open_filesystem(uri)
    if filesystem.type_name != "local":
        return None
    with suppress(OSError):
        return os.stat(path).st_mtime_ns
    return None


def _write(marker: Location, text: str) -> None:
    """Write the marker; a local one in place, because it is locked."""
    if isinstance(marker, ObjectPath):
        write_whole(marker, text)
        return
    with marker.open("w") as file:
        file.write(text)


@contextmanager
def _locked(marker: Location) -> Iterator[None]:
    """Let one process of this machine at a time write into a local folder: the lock ends with its process.

    Raises:
        RunInUseError: another does.

    """
    if isinstance(marker, ObjectPath):
        yield
        return
    with _open(marker) as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
                raise RunInUseError(
                    f"{marker.parent} is being written by another predict; wait for that one or stop it, or "
                    "choose another --output"
                ) from error
            # a file system without locks: two at a time write the same
        yield


def _open(marker: Path) -> Any:
    descriptor = os.open(marker, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    return os.fdopen(descriptor, "r+b", buffering=0)
