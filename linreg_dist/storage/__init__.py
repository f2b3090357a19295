"""Files of a run wherever they are kept: a file system that is mounted, or an object store behind a URI."""

from __future__ import annotations

from linreg_dist.storage.background import Background
from linreg_dist.storage.filesystems import open_filesystem, split_query, without_credentials
from linreg_dist.storage.paths import (
    Location,
    ObjectPath,
    as_location,
    copy_file,
    is_same_place,
    move_file,
    remove_tree,
    upload_file,
    write_together,
    write_whole,
)
from linreg_dist.storage.retry import final_patience, no_patience, one_line, retried

__all__ = [
    "Background",
    "Location",
    "ObjectPath",
    "as_location",
    "copy_file",
    "final_patience",
    "is_same_place",
    "move_file",
    "no_patience",
    "one_line",
    "open_filesystem",
    "remove_tree",
    "retried",
    "split_query",
    "upload_file",
    "without_credentials",
    "write_together",
    "write_whole",
]
