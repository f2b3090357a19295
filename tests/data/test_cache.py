"""Blocks between passes: what is kept where, and that a mapped block is the block."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from linreg_dist.data.block import Block
from linreg_dist.data.cache import BlockCache, default_cache_folder, remove_cache


def block_of(seed: int, *, weighted: bool = False, targets: int = 1, rows: int = 10) -> Block:
    generator = np.random.default_rng(seed)
    x = generator.standard_normal((3, rows), dtype=np.float32).T
    y = generator.standard_normal((targets, rows), dtype=np.float32).T
    w = generator.random(rows, dtype=np.float32) if weighted else None
    return Block(x, y, w, num_train=rows - 3)


def assert_same(found: Block | None, expected: Block) -> None:
    assert found is not None
    assert np.array_equal(found.x_ND, expected.x_ND)
    assert np.array_equal(found.y_NK, expected.y_NK)
    assert found.num_train == expected.num_train
    assert (found.w_N is None) == (expected.w_N is None)
    if found.w_N is not None and expected.w_N is not None:
        assert np.array_equal(found.w_N, expected.w_N)
    assert found.x_ND.strides == expected.x_ND.strides


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("targets", [1, 2])
def test_a_block_that_memory_has_no_room_for_comes_back_from_disk(tmp_path, weighted, targets):
    cache = BlockCache(0, 1 << 20, tmp_path / "blocks")
    blocks = {index: block_of(index, weighted=weighted, targets=targets) for index in (4, 7)}
    for index, block in blocks.items():
        cache.keep(index, block)
        assert cache.holds(index)
    for index, block in blocks.items():
        assert_same(cache.get(index, targets), block)
    assert cache.get(5, targets) is None


def test_memory_is_used_first_and_disk_up_to_its_budget(tmp_path):
    size = block_of(0, rows=1000).nbytes
    cache = BlockCache(size, int(2.5 * size) + 512, tmp_path / "blocks")
    for index in range(5):
        cache.keep(index, block_of(index, rows=1000))
    assert [cache.holds(index) for index in range(5)] == [True, True, True, False, False]
    written = sum(path.stat().st_size for path in (tmp_path / "blocks").iterdir())
    assert len(list((tmp_path / "blocks").iterdir())) == 2
    assert written <= 2.5 * size + 512


def test_the_next_attempt_of_the_same_job_finds_the_files(tmp_path):
    BlockCache(0, 1 << 20, tmp_path / "blocks").keep(3, block_of(3))
    again = BlockCache(0, 1 << 20, tmp_path / "blocks")
    assert_same(again.get(3, 1), block_of(3))


def planted(folder: Path, index: int) -> Path:
    """Write what an earlier attempt would have left: a block, by its name."""
    BlockCache(0, 1 << 20, folder).keep(index, block_of(99))
    return next(folder.glob("*.npy"))


@pytest.mark.parametrize("mode", [0o777, 0o722, 0o770])
@pytest.mark.parametrize("which", ["blocks", "."])
def test_blocks_in_a_folder_that_others_may_write_to_are_not_used(tmp_path, caplog, mode, which):
    folder = tmp_path / "base" / "blocks"
    folder.parent.mkdir()
    planted(folder, 3)
    (folder.parent / which).chmod(mode)
    cache = BlockCache(0, 1 << 20, folder)
    assert not cache.holds(3)
    cache.keep(4, block_of(4))
    assert not cache.holds(4)
    assert "others may write to it" in caplog.text
    remove_cache(folder)
    assert folder.exists()


def test_a_link_in_the_place_of_the_folder_is_neither_used_nor_emptied(tmp_path, caplog):
    (tmp_path / "base").mkdir()
    (tmp_path / "elsewhere").mkdir()
    planted(tmp_path / "elsewhere" / "blocks", 3)
    (tmp_path / "base" / "blocks").symlink_to(tmp_path / "elsewhere" / "blocks")
    cache = BlockCache(0, 1 << 20, tmp_path / "base" / "blocks")
    assert not cache.holds(3)
    assert "it is a link" in caplog.text
    remove_cache(tmp_path / "base" / "blocks")
    assert len(list((tmp_path / "elsewhere" / "blocks").iterdir())) == 1


def test_other_names_in_the_folder_are_no_blocks(tmp_path):
    folder = tmp_path / "blocks"
    planted(folder, 3)
    for name in ("notes.npy", "1-2-3.npy", "00000005-7-2.npy", "x-1-0.npy"):
        (folder / name).write_bytes(b"")
    cache = BlockCache(0, 1 << 20, folder)
    assert [index for index in range(10) if cache.holds(index)] == [3]


def test_without_a_disk_budget_nothing_is_written_or_read(tmp_path):
    BlockCache(0, 1 << 20, tmp_path / "blocks").keep(3, block_of(3))
    off = BlockCache(0, 0, tmp_path / "blocks")
    off.keep(4, block_of(4))
    assert not off.holds(3)
    assert not off.holds(4)


def test_jobs_do_not_share_folders_and_leave_none(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine, other = default_cache_folder("a" * 64), default_cache_folder("b" * 64)
    assert mine != other
    assert tmp_path in mine.parents
    BlockCache(0, 1 << 20, mine).keep(0, block_of(0))
    assert mine.stat().st_mode & 0o077 == 0
    remove_cache(mine)
    assert not mine.exists()
    remove_cache(Path(mine))
