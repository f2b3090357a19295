"""What to say where nothing more can be written."""

from __future__ import annotations

import shutil
from pathlib import Path

from linreg_dist.storage import Location


def describe_room(path: Location) -> str:
    """Return how many bytes are free where ``path`` is to lie, as text for a message."""
    if not isinstance(path, Path):
        return "it is an object store"
    place = next((folder for folder in (path, *path.parents) if folder.exists()), None)
    try:
        usage = shutil.disk_usage(place or "/")
    except OSError as error:
        return f"the free space is unknown: {error}"
    return f"{usage.free:,} of {usage.total:,} bytes are free there"
