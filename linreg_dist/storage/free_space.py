"""Free disk space, quotas and limits of files, as text for error messages."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from pathlib import Path

from linreg_dist.storage import Location

_FEW_INODES = 16  # one may have become free again by the time somebody looks


def describe_room(path: Location, error: BaseException | None = None) -> str:
    """Return how many bytes, or how few inodes, are free where ``path`` is to lie, as text for a message.

    Args:
        path: what could not be written.
        error: why; of a quota or a limit of this process the free space tells nothing, so that one is named.

    """
    if not isinstance(path, Path):
        return "an object store does not tell how much is free"
    place = next((folder for folder in (path, *path.parents) if folder.exists()), None)
    try:
        usage, nodes = shutil.disk_usage(place or "/"), os.statvfs(place or "/")
    except OSError as unknown:
        return f"the free space is unknown: {unknown}"
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EDQUOT:
        return (
            "the quota there is used up, of bytes or of files (quota -s, or ask who runs the storage); the "
            f"disk itself has {usage.free:,} bytes free"
        )
    most, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if number == errno.EFBIG and most != resource.RLIM_INFINITY:
        return f"this process may write files of {most:,} bytes at most (ulimit -f)"
    if nodes.f_files and nodes.f_favail < _FEW_INODES:  # who makes inodes as they are needed says 0 of 0
        return f"only {nodes.f_favail:,} of {nodes.f_files:,} inodes are free there, one a file (df -i)"
    return f"{usage.free:,} of {usage.total:,} bytes are free there"
