"""A place for a file or a folder: `pathlib.Path` where it is mounted, `ObjectPath` where it is a URI.

`ObjectPath` has those methods of `Path` that a run's files need, so most code does not ask which it has.
Where the two differ there is a function here. An object store has no folders and no rename, and needs
neither: an object appears whole, by its last byte, or not at all.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote

from pyarrow import fs

from linreg_dist.errors import SpecError, StorageError
from linreg_dist.jobspec import is_uri, split_query
from linreg_dist.storage.filesystems import check_uri, open_filesystem
from linreg_dist.storage.local_files import DOCUMENT_BYTES, create_file, read_regular
from linreg_dist.storage.retry import one_line, place_of, retried
from linreg_dist.wording.secrets import show_on_one_line

T = TypeVar("T")

_PIECE_BYTES = 8 << 20


@dataclass(frozen=True)
class ObjectPath:
    """A file or folder below a URI.

    Every method that asks the store raises StorageError when it does not answer within the patience of
    `retry`, and SpecError when it refuses (no such bucket, no right).

    Attributes:
        base: the URI, without a slash at its end.
        query: its options, with the question mark, or an empty text.

    """

    base: str
    query: str = ""

    @classmethod
    def of(cls, uri: str) -> ObjectPath:
        """Return the place that a URI names.

        Raises:
            SpecError: the scheme is unknown, the URI malformed, or there are credentials in it.

        """
        try:
            open_filesystem(uri)
        except ValueError as error:
            raise SpecError(
                f"cannot store at {split_query(uri)[0]}: {error}; expected a folder or a URI such as "
                "s3://bucket/path"
            ) from error
        base, query = split_query(uri)
        return cls(base.rstrip("/"), query)

    def __str__(self) -> str:
        return self.base + self.query

    def __truediv__(self, name: str) -> ObjectPath:
        return ObjectPath(f"{self.base}/{name}", self.query)

    @property
    def name(self) -> str:
        """The last part."""
        return self.base.rpartition("/")[2]

    @property
    def parent(self) -> ObjectPath:
        """The folder that it is in."""
        return ObjectPath(self.base.rpartition("/")[0], self.query)

    def with_name(self, name: str) -> ObjectPath:
        """Return another file of the same folder."""
        return self.parent / name

    @property
    def filesystem(self) -> tuple[fs.FileSystem, str]:
        """Pyarrow's file system and the path inside it."""
        return open_filesystem(str(self))

    def exists(self) -> bool:
        """Return whether there is an object of this name, or any below it."""
        return bool(self._info().type != fs.FileType.NotFound)

    def is_file(self) -> bool:
        """Return whether there is an object of this name."""
        return bool(self._info().type == fs.FileType.File)

    def is_dir(self) -> bool:
        """Return whether there are objects below this name."""
        return bool(self._info().type == fs.FileType.Directory)

    def version(self) -> tuple[int, int] | None:
        """Return (modification time in ns, bytes), which changes when the object is written; None without
        one.
        """
        info = self._info()
        return (info.mtime_ns or 0, info.size) if info.type == fs.FileType.File else None

    def iterdir(self) -> Iterator[ObjectPath]:
        """Yield the entries directly below; nothing if there are none."""

        def listed(filesystem: fs.FileSystem, path: str) -> list[str]:
            selector = fs.FileSelector(path, allow_not_found=True)
            return [info.base_name for info in filesystem.get_file_info(selector)]

        yield from (self / name for name in sorted(self._ask("list", listed)))

    def files_written_ns(self) -> dict[str, int]:
        """Return the modification time, in ns, of each object directly below, by its name; one request."""

        def listed(filesystem: fs.FileSystem, path: str) -> dict[str, int]:
            selector = fs.FileSelector(path, allow_not_found=True)
            infos = filesystem.get_file_info(selector)
            return {info.base_name: info.mtime_ns or 0 for info in infos if info.type == fs.FileType.File}

        return self._ask("list", listed)

    def read_bytes(self, limit_bytes: int | None = None) -> bytes:
        """Return the content; raises FileNotFoundError if there is no such object.

        Raises:
            OSError: it has more bytes than the limit.

        """

        def read(filesystem: fs.FileSystem, path: str) -> bytes | int:
            # pyarrow asks for the size, then for as many bytes: of two versions, if one came in between.
            with filesystem.open_input_file(path) as source:
                size: int = source.size()
                if limit_bytes is not None and size > limit_bytes:
                    return size
                content: bytes = source.read()
            if filesystem.get_file_info(path).size != len(content):
                raise OSError(f"{path} was replaced while it was read")
            return content

        found = self._ask("read", read)
        if isinstance(found, int):
            raise OSError(errno.EFBIG, f"it has {found:,} bytes; expected {limit_bytes:,} at most", str(self))
        return found

    def read_text(self) -> str:
        """Return the content as UTF-8 text."""
        return self.read_bytes().decode()

    def write_bytes(self, content: bytes) -> None:
        """Put an object."""

        def write(filesystem: fs.FileSystem, path: str) -> None:
            with filesystem.open_output_stream(path) as sink:
                sink.write(content)

        self._ask("write", write)

    def unlink(self, missing_ok: bool = False) -> None:
        """Remove an object."""
        try:
            self._ask("remove", lambda filesystem, path: filesystem.delete_file(path))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Do nothing: a folder is there when something is in it."""

    def _info(self) -> fs.FileInfo:
        return self._ask("look for", lambda filesystem, path: filesystem.get_file_info(path))

    def _ask(self, doing: str, function: Callable[[fs.FileSystem, str], T]) -> T:
        filesystem, path = self.filesystem
        try:
            return retried(lambda: function(filesystem, path), doing, str(self))
        except FileNotFoundError:
            raise
        except OSError as error:
            raise SpecError(
                f"cannot {doing} {self} ({place_of(self.base)}): {one_line(error)}. Check that the bucket "
                "exists, and that the credentials of this machine (AWS_ACCESS_KEY_ID, AWS_PROFILE, its role) "
                "may read and write there"
            ) from error


Location = Path | ObjectPath


def as_location(place: str | os.PathLike[str] | ObjectPath) -> Location:
    """Return the place that a text or a path names; ``file://`` is a local path.

    Raises:
        SpecError: a URI that cannot be used.

    """
    if isinstance(place, ObjectPath):
        return place
    text = os.fspath(place)
    show_on_one_line(text)
    if text.startswith("file://"):
        check_uri(text)
        return Path(unquote(text.removeprefix("file://").removeprefix("localhost")))
    return ObjectPath.of(text) if is_uri(text) else Path(text)


def is_same_place(a: Location, b: Location) -> bool:
    """Return whether two places are one."""
    if isinstance(a, Path) and isinstance(b, Path):
        return a.resolve() == b.resolve()
    return a == b


def write_whole(location: Location, content: str | bytes) -> None:
    """Write a file so that a reader sees the old content or all of the new, also after a crash."""
    data = content.encode() if isinstance(content, str) else content
    if isinstance(location, ObjectPath):
        location.write_bytes(data)
        return
    # In the same directory, because a rename is atomic only within one file system.
    temporary = location.with_name(f".{location.name}.tmp")
    try:
        with create_file(temporary) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(location)
    finally:
        temporary.unlink(missing_ok=True)


def read_file(location: Location, limit_bytes: int = DOCUMENT_BYTES) -> bytes:
    """Return the content of a regular file or an object; a link is not followed, and a fifo not waited for.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is something else, or larger than the limit. The message says which.
        StorageError, SpecError: as of `ObjectPath`.

    """
    if isinstance(location, Path):
        return read_regular(location, limit_bytes)
    return location.read_bytes(limit_bytes)


def upload_file(local: Path, target: ObjectPath) -> None:
    """Put a local file of any size, piece by piece."""

    def send(filesystem: fs.FileSystem, path: str) -> None:
        with local.open("rb") as source, filesystem.open_output_stream(path) as sink:
            while piece := source.read(_PIECE_BYTES):
                sink.write(piece)

    target._ask("write", send)


def copy_file(source: Location, target: Location) -> None:
    """Copy a file within one store or one file system."""
    if isinstance(source, Path) and isinstance(target, Path):
        shutil.copy2(source, target)
    elif isinstance(source, ObjectPath) and isinstance(target, ObjectPath):
        path = source.filesystem[1]
        target._ask("copy to", lambda filesystem, copy: filesystem.copy_file(path, copy))
    else:
        write_whole(target, source.read_bytes())


def move_file(source: Location, target: Location) -> None:
    """Give a file another name within one store or one file system; the name appears with the whole file."""
    if isinstance(source, Path) and isinstance(target, Path):
        source.replace(target)
    else:
        copy_file(source, target)
        source.unlink()


def remove_tree(location: Location, *, ignore_errors: bool = False) -> None:
    """Remove a folder with all that is in it; nothing happens if it is not there."""
    if isinstance(location, Path):
        if ignore_errors or location.exists():
            shutil.rmtree(location, ignore_errors=ignore_errors)
        return
    try:
        location._ask("remove", lambda filesystem, path: filesystem.delete_dir(path))
    except FileNotFoundError:
        return
    except (StorageError, SpecError):
        if not ignore_errors:
            raise
