"""Files of a run wherever they are kept: a file system that is mounted, or an object store behind a URI."""

from __future__ import annotations

from linreg_dist.jobspec import split_query
from linreg_dist.storage.background import Background
from linreg_dist.storage.filesystems import check_uri, open_filesystem, s3_address
from linreg_dist.storage.local_files import (
    DOCUMENT_BYTES,
    TENSORS_BYTES,
    create_file,
    kind_of,
    open_regular,
    private_folder,
    read_regular,
    rewrite_file,
)
from linreg_dist.storage.paths import (
    Location,
    ObjectPath,
    as_location,
    copy_file,
    is_same_place,
    move_file,
    read_file,
    remove_tree,
    upload_file,
    write_whole,
)
from linreg_dist.storage.retry import final_patience, is_transient, no_patience, one_line, retried

__all__ = [
    "DOCUMENT_BYTES",
    "TENSORS_BYTES",
    "Background",
    "Location",
    "ObjectPath",
    "as_location",
    "check_uri",
    "copy_file",
    "create_file",
    "final_patience",
    "is_same_place",
    "is_transient",
    "kind_of",
    "move_file",
    "no_patience",
    "one_line",
    "open_filesystem",
    "open_regular",
    "private_folder",
    "read_file",
    "read_regular",
    "remove_tree",
    "retried",
    "rewrite_file",
    "s3_address",
    "split_query",
    "upload_file",
    "write_whole",
]
