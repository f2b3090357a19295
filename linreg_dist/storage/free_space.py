"""Free disk space, as text for error messages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from linreg_dist.storage import Location

_FEW_INODES = 16  # one may have become free again by the time somebody looks


def describe_room(path: Location) -> str:
    """Return how many bytes, or how few inodes, are free where ``path`` is to lie, as text for a message."""
    if not isinstance(path, Path):
        return "an object store does not tell how much is free"
    place = next((folder for folder in (path, *path.parents) if folder.exists()), None)
    try:
        usage, nodes = shutil.disk_usage(place or "/"), os.statvfs(place or "/")
    except OSError as error:
        return f"the free space is unknown: {error}"
    if nodes.f_files and nodes.f_favail < _FEW_INODES:  # who makes inodes as they are needed says 0 of 0
        return f"only {nodes.f_favail:,} of {nodes.f_files:,} inodes are free there, one a file (df -i)"
    return f"{usage.free:,} of {usage.total:,} bytes are free there"
