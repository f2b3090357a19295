"""Free disk space, as text for error messages."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from linreg_dist.storage import Location


def describe_room(path: Location) -> str:
    """Return how many bytes, or that no inodes, are free where ``path`` is to lie, as text for a message."""
    if not isinstance(path, Path):
        return "an object store does not tell how much is free"
    place = next((folder for folder in (path, *path.parents) if folder.exists()), None)
    try:
        usage, nodes = shutil.disk_usage(place or "/"), os.statvfs(place or "/")
    except OSError as error:
        return f"the free space is unknown: {error}"
    if nodes.f_files and not nodes.f_favail:  # file systems that make inodes as they need them say 0 of 0
        return f"all of its {nodes.f_files:,} inodes are taken, so no file can be made there (df -i)"
    return f"{usage.free:,} of {usage.total:,} bytes are free there"
