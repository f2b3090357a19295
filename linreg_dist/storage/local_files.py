"""Local files and folders under names that somebody else may have prepared.

A folder that others may write to (a shared temporary folder, a model from elsewhere) can hold a link, a fifo,
a device or a file without end under any name that can be known. What is opened here is a regular file under
its own name, within a limit; what is made here is new; and a private folder is one that nobody else can write
to.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

DOCUMENT_BYTES = 256 << 20
"""The largest JSON or text document that is read: a model of 4,096 columns takes a few MiB."""

TENSORS_BYTES = 64 << 30
"""The largest safetensors file that is read: at 4,096 columns a Gram matrix takes 128 MiB."""

_GROWTH_BYTES = 16 << 20

_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a fifo"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def kind_of(mode: int) -> str:
    """Return what a file is by its ``st_mode``: "a file", "a link", "a folder", "a fifo" and so on."""
    return next((name for test, name in _KINDS if test(mode)), "a file")


def open_regular(path: Path, limit_bytes: int = DOCUMENT_BYTES) -> BinaryIO:
    """Open a regular file for reading; a link is not followed, and a fifo not waited for.

    Raises:
        FileNotFoundError: there is none.
        OSError: it is something else, larger than the limit, or cannot be read. The message says which.

    """
    descriptor = _open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        _require_regular(found.st_mode, path)
        if found.st_size > limit_bytes:
            raise OSError(
                errno.EFBIG, f"it has {found.st_size:,} bytes; expected {limit_bytes:,} at most", str(path)
            )
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, limit_bytes: int = DOCUMENT_BYTES) -> bytes:
    """Return the content of a regular file; raises as `open_regular`."""
    with open_regular(path, limit_bytes) as file:
        size = os.fstat(file.fileno()).st_size
        content = file.read(size + 1)
        if len(content) > size:  # it grows while it is read
            content += file.read(min(limit_bytes - size, _GROWTH_BYTES))
    if len(content) > limit_bytes:
        raise OSError(errno.EFBIG, f"it has more than {limit_bytes:,} bytes", str(path))
    return content


def create_file(path: Path, *, private: bool = False) -> BinaryIO:
    """Make a file that was not there, for writing. What has the name goes first: a link itself, never what it
    points to.

    Args:
        path: of the file.
        private: whether nobody else may read it, as in a folder for everybody's temporary files.

    Raises:
        OSError: the name belongs to a folder, or the file cannot be made.

    """
    path.unlink(missing_ok=True)
    mode = 0o600 if private else 0o666
    return os.fdopen(_open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb")


def rewrite_file(path: Path) -> BinaryIO:
    """Open a file for writing from its beginning, unbuffered. A reader that has it open goes on to see it.

    Raises:
        OSError: the name belongs to something else than a regular file, or it cannot be written.

    """
    descriptor = _open(path, os.O_WRONLY | os.O_CREAT | os.O_NONBLOCK)
    try:
        _require_regular(os.fstat(descriptor).st_mode, path)
        os.ftruncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "wb", buffering=0)


def private_folder(path: Path) -> None:
    """Make a folder that only this user can look into, or see that the one that is there is such a folder.

    Its parent must exist. A folder of ours that others could read, but not write to, is closed to them.

    Raises:
        OSError: it is a link, no folder, another user's, or others may have written to it.

    """
    with suppress(FileExistsError):
        path.mkdir(mode=0o700)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        raise OSError(errno.ENOTDIR, f"it is {kind_of(found.st_mode)}; expected a folder", str(path))
    if found.st_uid != os.geteuid():
        raise OSError(errno.EPERM, f"it belongs to user {found.st_uid}, not to this one", str(path))
    if found.st_mode & 0o022:
        raise OSError(
            errno.EPERM,
            f"others may write to it (mode {stat.S_IMODE(found.st_mode):04o}); remove it, or set TMPDIR",
            str(path),
        )
    if found.st_mode & 0o077:
        path.chmod(0o700)


def _open(path: Path, flags: int, mode: int = 0o666) -> int:
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise OSError(
                errno.ELOOP, "it is a link; expected the file itself: copy what it points to", str(path)
            ) from error
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP, errno.EISDIR) and os.path.lexists(path):
            _require_regular(path.lstat().st_mode, path)
        raise


def _require_regular(mode: int, path: Path) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, f"it is {kind_of(mode)}; expected a regular file", str(path))
