"""Free space as it is told: bytes, inodes, a quota, the largest file that a process may write."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

from linreg_dist.storage.free_space import describe_room


def test_of_a_place_that_is_not_there_yet_the_folder_above_it_tells(tmp_path: Path) -> None:
    assert describe_room(tmp_path / "not" / "yet").endswith("bytes are free there")


def test_of_a_quota_the_free_bytes_of_the_disk_are_not_what_is_left(tmp_path: Path) -> None:
    told = describe_room(tmp_path, OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)))
    assert told.startswith("the quota there is used up, of bytes or of files (quota -s")
    assert "bytes are free there" not in told


def test_the_largest_file_that_a_shell_allows_is_named(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from linreg_dist.storage.free_space import describe_room
try:
    Path({str(tmp_path / "file")!r}).write_bytes(b"x" * 9000)
except OSError as error:
    print(describe_room(Path({str(tmp_path)!r}), error))
"""
    command = ["bash", "-c", 'ulimit -f 8; exec "$@"', "bash", sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout == "this process may write files of 8,192 bytes at most (ulimit -f)\n"
