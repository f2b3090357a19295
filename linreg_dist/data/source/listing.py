"""The listing of a data folder: its Parquet files, each once, and every entry that only looks like one.

A local file is what it *is*, its device and inode, and not its name: links to files and folders, loops and
second names are found, and a file is read once whatever it is called. Spark's rule decides on hidden entries:
names that begin with ``.`` or ``_`` are not data, but a folder ``_key=value`` is a hive key.
"""

from __future__ import annotations

import os
import posixpath
import stat
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from pyarrow import fs

from linreg_dist import liveness
from linreg_dist.documents import SkippedFile
from linreg_dist.storage import retried
from linreg_dist.wording.secrets import show_on_one_line

_MAGIC = (b"PAR1", b"PARE")
_SUFFIXES = (".parquet", ".pq", ".parq")
_NOT_DATA = ("_delta_log", "_metadata", "_common_metadata", "_SUCCESS")
_LOOKED_INTO = 1000  # entries of a hidden folder, to see whether it holds data
_ASKED_REMOTELY = 64  # objects whose first bytes are looked at

Identity = tuple[int, int] | str
"""The identity of a file: device and inode of a local file, the path in the store of an object."""


@dataclass(frozen=True)
class Entry:
    """A file of the data: its path in the file system, its key below the root, its bytes, what it is."""

    path: str
    key: str
    size: int
    identity: Identity


@dataclass
class Listing:
    """What was found.

    Attributes:
        files: the data, by key.
        skipped: entries that are not read for a reason that is no fault: second names, hidden ones.
        bad: entries that look like data and cannot be read.
        marks: the keys of all entries, those that are not read too.

    """

    files: list[Entry] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    bad: list[SkippedFile] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)

    def skip(self, path: str, reason: str) -> None:
        """Note an entry that is not read."""
        self.skipped.append(SkippedFile(path=path, reason=reason))

    def refuse(self, path: str, reason: str) -> None:
        """Note an entry that should be read and cannot."""
        self.bad.append(SkippedFile(path=path, reason=reason))


def has_parquet_suffix(name: str) -> bool:
    """Return whether a file is called Parquet."""
    return name.lower().endswith(_SUFFIXES)


def is_hidden(key: str) -> bool:
    """Return whether a key below a folder of data is no data by Spark's rule."""
    *folders, name = key.split("/")
    return name[:1] in ("_", ".") or any(map(_is_hidden_folder, folders))


def _is_hidden_folder(name: str) -> bool:
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def identify(filesystem: fs.FileSystem, path: str) -> Identity:
    """Return what the file at ``path`` is."""
    if isinstance(filesystem, fs.LocalFileSystem):
        found = os.stat(path)
        return found.st_dev, found.st_ino
    return posixpath.normpath(path)


def list_folder(
    filesystem: fs.FileSystem, base: str, path: str, is_wanted: Callable[[str], bool] | None
) -> Listing:
    """List a folder and all below it.

    Args:
        filesystem, base: the folder.
        path: what the user called it, for messages.
        is_wanted: which keys a glob matches; None takes files that are called Parquet, or, where none is,
            those that are Parquet.

    Raises:
        OSError: the folder cannot be listed.
        StorageError: a store does not answer.

    """
    wanted = is_wanted or (lambda key: has_parquet_suffix(posixpath.basename(key)))
    with liveness.process.waiting(f"listing {path}"):
        if isinstance(filesystem, fs.LocalFileSystem):
            walk = _Walk(wanted, through_every_link=is_wanted is not None)
            walk.folder(base)
            listing, others = walk.listing, walk.others
        else:
            listing, others = _list_store(filesystem, base, path, wanted)
    listing.files.sort(key=lambda entry: entry.key)
    for key in (*listing.marks, *(entry.key for entry in listing.files)):
        for named in (posixpath.join(base, key), posixpath.join(path, key), key):
            show_on_one_line(named)
    if is_wanted is None:
        _look_at_others(filesystem, others, listing)
    else:
        for kind in (listing.skipped, listing.bad):
            kind[:] = [item for item in kind if _concerns(is_wanted, posixpath.relpath(item.path, base))]
    return listing


def _concerns(is_wanted: Callable[[str], bool], key: str) -> bool:
    """Return whether a glob matches an entry, or what is in it if it is a folder."""
    return is_wanted(key) or is_wanted(f"{key}/x.parquet")


class _Walk:
    """A walk through a local folder that meets every file once: real entries before what links lead to.

    Args:
        wanted: which keys are data.
        through_every_link: whether a folder is entered by each of its names, as a glob may match any of them;
            else by the first alone.

    """

    def __init__(self, wanted: Callable[[str], bool], *, through_every_link: bool) -> None:
        self.listing = Listing()
        self.others: list[Entry] = []
        self._wanted = wanted
        self._through_every_link = through_every_link
        self._files: dict[Identity, str] = {}
        self._folders: dict[Identity, str] = {}
        self._links: deque[tuple[str, str, tuple[Identity, ...]]] = deque()

    def folder(self, base: str) -> None:
        """Walk through a folder and all that its links lead to."""
        here = _identity(os.stat(base))
        self._folders[here] = "."
        self._real(base, "", (here,))
        while self._links:
            key, full, above = self._links.popleft()
            try:
                found = os.stat(full)
            except OSError as error:
                _broken(full, key, error, self.listing)
                continue
            here = _identity(found)
            if not stat.S_ISDIR(found.st_mode):
                self._file(full, key, found)
            elif here in (above if self._through_every_link else self._folders):
                name = self._folders[here]
                shown = "the folder itself" if name == "." else name
                self.listing.skip(full, f"a link to {shown}, whose files are read there")
            else:
                self._folders.setdefault(here, key)
                self._real(full, key, (*above, here))

    def _real(self, base: str, prefix: str, above: tuple[Identity, ...]) -> None:
        """Take the files of a folder and of the real ones in it, and note its links."""
        waiting = [(base, prefix, above)]
        while waiting:
            folder, prefix, above = waiting.pop()
            try:
                with os.scandir(folder) as scan:
                    entries = sorted(scan, key=lambda entry: entry.name)
            except OSError as error:
                if not prefix:
                    raise
                self.listing.refuse(folder, f"the folder cannot be listed: {error.strerror or error}")
                continue
            liveness.process.mark(f"listing {folder}")
            for entry in entries:
                key = posixpath.join(prefix, entry.name)
                is_link = entry.is_symlink()
                is_folder = os.path.isdir(entry.path) if is_link else entry.is_dir(follow_symlinks=False)
                self.listing.marks.append(key)
                if _hidden(entry.path, entry.name, self.listing, is_folder=is_folder):
                    continue
                if is_link:
                    self._links.append((key, entry.path, above))
                elif is_folder:
                    here = _identity(entry.stat(follow_symlinks=False))
                    self._folders.setdefault(here, key)
                    waiting.append((entry.path, key, (*above, here)))
                else:
                    self._file(entry.path, key, entry.stat(follow_symlinks=False))

    def _file(self, full: str, key: str, found: os.stat_result) -> None:
        """Take a file, unless it was met under another name."""
        here, wanted = _identity(found), self._wanted(key)
        if not stat.S_ISREG(found.st_mode):
            if wanted:
                self.listing.refuse(full, "neither a file nor a folder")
        elif not wanted:
            self.others.append(Entry(full, key, found.st_size, here))
        elif here in self._files:
            self.listing.skip(full, f"a second name of {self._files[here]}, which is read once")
        else:
            self._files[here] = key
            self.listing.files.append(Entry(full, key, found.st_size, here))


def _hidden(full: str, name: str, listing: Listing, *, is_folder: bool) -> bool:
    """Return whether an entry is hidden, and note it if there is data in it."""
    if not (_is_hidden_folder(name) if is_folder else name[:1] in ("_", ".")):
        return False
    holds = _holds_parquet(full) if is_folder else has_parquet_suffix(name)
    if name not in _NOT_DATA and holds:
        what = "a folder" if is_folder else "a file"
        listing.skip(full, f"{what} whose name begins with {name[0]!r} is no data")
    return True


def _holds_parquet(folder: str) -> bool:
    left = _LOOKED_INTO
    for _, _, names in os.walk(folder):
        if any(map(has_parquet_suffix, names)):
            return True
        left -= 1 + len(names)
        if left < 0:
            break
    return False


def _broken(full: str, key: str, error: OSError, listing: Listing) -> None:
    """Note a link that leads nowhere: bad where it is called Parquet or might be a folder."""
    target = "?"
    with suppress(OSError):
        target = os.readlink(full)
    name = posixpath.basename(key)
    if has_parquet_suffix(name):
        listing.refuse(full, f"a broken link to {target} ({error.strerror or error})")
    elif "." not in name:
        listing.skip(full, f"a broken link to {target} ({error.strerror or error})")


def _list_store(
    filesystem: fs.FileSystem, base: str, path: str, wanted: Callable[[str], bool]
) -> tuple[Listing, list[Entry]]:
    """List a folder of an object store: one call, however many files there are."""
    selector = fs.FileSelector(base, recursive=True)
    children = retried(lambda: filesystem.get_file_info(selector), "list", path)
    listing, noted = Listing(), set()
    others: list[Entry] = []
    for child in children:
        key = posixpath.relpath(child.path, base)
        listing.marks.append(key)
        if child.type != fs.FileType.File:
            continue
        entry = Entry(child.path, key, child.size, posixpath.normpath(child.path))
        if not is_hidden(key):
            (listing.files if wanted(key) else others).append(entry)
        elif has_parquet_suffix(key):
            parts = key.split("/")
            depth = next((i for i, part in enumerate(parts[:-1]) if _is_hidden_folder(part)), len(parts) - 1)
            at = "/".join(parts[: depth + 1])
            if at not in noted and parts[depth] not in _NOT_DATA:
                noted.add(at)
                listing.skip(posixpath.join(base, at), f"its name begins with {parts[depth][0]!r}: no data")
    return listing, others


def _look_at_others(filesystem: fs.FileSystem, others: list[Entry], listing: Listing) -> None:
    """See which files that are not called Parquet are Parquet by their first bytes.

    Where no file is called Parquet, those without a suffix are the data, as Hive and Impala write them.
    """
    local = isinstance(filesystem, fs.LocalFileSystem)
    plain = [entry for entry in others if "." not in posixpath.basename(entry.key)]
    dotted = [entry for entry in others if "." in posixpath.basename(entry.key)] if local else []
    if not local:
        plain = plain[:_ASKED_REMOTELY]
    found = [entry for entry in plain if _is_parquet(filesystem, entry)]
    if found and not listing.files:
        listing.files = sorted(found, key=lambda entry: entry.key)
        found = []
    for entry in found:
        listing.refuse(
            entry.path,
            "Parquet by its first bytes, without a suffix beside files that have one: name it by a glob, or "
            "rename it",
        )
    for entry in dotted:
        if _is_parquet(filesystem, entry):
            listing.skip(entry.path, "Parquet by its first bytes, but not called .parquet, .pq or .parq")


def _is_parquet(filesystem: fs.FileSystem, entry: Entry) -> bool:
    if entry.size < 12:
        return False
    try:
        if isinstance(filesystem, fs.LocalFileSystem):
            with open(entry.path, "rb") as file:
                return file.read(4) in _MAGIC
        with filesystem.open_input_file(entry.path) as source:
            return source.read(4) in _MAGIC
    except OSError:
        return False


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino
