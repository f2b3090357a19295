"""Local files under names that others may have prepared: regular files are read, links not followed."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from linreg_dist.storage import (
    create_file,
    open_regular,
    private_folder,
    read_file,
    rewrite_file,
    write_whole,
)


def fifo(path: Path) -> None:
    os.mkfifo(path)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def folder(path: Path) -> None:
    path.mkdir()


def link(path: Path) -> None:
    target = path.with_name("target")
    target.write_text("secret")
    path.symlink_to(target)


def broken_link(path: Path) -> None:
    path.symlink_to(path.with_name("nowhere"))


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))


ODD = [fifo, device, folder, link, broken_link, unix_socket]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("make", ODD)
def test_only_a_regular_file_is_read_and_nothing_is_waited_for(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    odd = tmp_path / "odd"
    make(odd)
    with pytest.raises(OSError, match="it is a") as raised:
        read_file(odd)
    assert raised.value.filename == str(odd)
    with pytest.raises(OSError, match="it is a"):
        rewrite_file(odd)


def test_a_file_that_is_larger_than_expected_is_refused_by_its_size(tmp_path: Path) -> None:
    endless = tmp_path / "endless"
    with endless.open("wb") as file:
        file.truncate(1 << 40)  # a sparse file: it takes no room
    with pytest.raises(OSError, match=r"1,099,511,627,776 bytes; expected 1,000 at most"):
        open_regular(endless, 1000)
    small = tmp_path / "small"
    small.write_bytes(b"x" * 1000)
    assert read_file(small, 1000) == b"x" * 1000


def test_a_file_that_is_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")


@pytest.mark.parametrize("make", [link, broken_link, fifo])
def test_a_new_file_takes_the_place_of_a_link_and_leaves_what_it_points_to(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    odd = tmp_path / "odd"
    make(odd)
    with create_file(odd) as file:
        file.write(b"ours")
    assert stat.S_ISREG(odd.lstat().st_mode)
    assert odd.read_bytes() == b"ours"
    assert not (tmp_path / "nowhere").exists()
    if (tmp_path / "target").exists():
        assert (tmp_path / "target").read_text() == "secret"


def test_a_file_is_written_whole_although_its_temporary_name_is_a_link(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("data")
    (tmp_path / ".result.json.tmp").symlink_to(precious)
    write_whole(tmp_path / "result.json", "ours")
    assert (tmp_path / "result.json").read_text() == "ours"
    assert precious.read_text() == "data"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["precious", "result.json"]


def test_new_files_have_the_modes_that_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_whole(tmp_path / "a", "x")
        with rewrite_file(tmp_path / "b") as file:
            file.write(b"x")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o640, 0o640]


def test_a_private_folder_is_made_and_found_again(tmp_path: Path) -> None:
    for _ in range(2):
        private_folder(tmp_path / "mine")
        assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o700


def test_a_folder_that_others_could_only_read_is_closed_to_them(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine").chmod(0o755)
    private_folder(tmp_path / "mine")
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702, 0o1777])
def test_a_folder_that_others_may_write_to_is_not_private(tmp_path: Path, mode: int) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(mode)
    with pytest.raises(OSError, match="others may write to it"):
        private_folder(tmp_path / "open")


@pytest.mark.parametrize("make", [link, fifo, device])
def test_what_is_no_real_folder_is_not_private(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "odd")
    with pytest.raises(OSError, match="expected a folder"):
        private_folder(tmp_path / "odd")


def test_a_link_to_a_private_folder_is_not_private(tmp_path: Path) -> None:
    private_folder(tmp_path / "mine")
    (tmp_path / "other").symlink_to(tmp_path / "mine")
    with pytest.raises(OSError, match="it is a link"):
        private_folder(tmp_path / "other")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_another_users_folder_is_not_private(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o700)
    os.chown(tmp_path / "theirs", 65534, 65534)
    with pytest.raises(OSError, match="belongs to user 65534"):
        private_folder(tmp_path / "theirs")
