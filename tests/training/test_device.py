from __future__ import annotations

import numpy as np
import pytest
import torch

from linreg_dist.data.block import Block
from linreg_dist.training.rows.device import DeviceRows, rows_of
from linreg_dist.training.rows.gpus import Gpus

CPU = "cpu"


@pytest.fixture
def block() -> Block:
    rows, columns = np.arange(10.0, dtype=np.float32), np.arange(3.0, dtype=np.float32)
    x_ND = (columns[:, None] * 100 + rows).T  # columns next to each other, as in a block
    return Block(x_ND, rows[:, None] * 10, rows + 1, num_train=7)


def test_a_range_of_rows_stays_where_it_is(block: Block) -> None:
    rows = rows_of(block, slice(2, 5), CPU)
    assert rows.x_ND.data_ptr() == block.x_ND[2:].ctypes.data
    assert rows.y_NK[:, 0].tolist() == [20.0, 30.0, 40.0]
    assert rows.w_N is not None
    assert rows.w_N.tolist() == [3.0, 4.0, 5.0]


def test_a_block_is_copied_once_while_there_is_room(block: Block) -> None:
    """A device with room for one block and a half; here it is the CPU, but a copy all the same."""
    rows = DeviceRows(CPU, lambda: block.nbytes * 3 // 2, num_rows=20)
    first = rows.of(0, block, slice(0, block.num_train))
    other = Block(block.x_ND + 1, block.y_NK, block.w_N, num_train=7)
    assert rows.of(1, other, slice(2, 4)).x_ND[:, 0].tolist() == [3.0, 4.0], "copied, not kept"
    emptied = Block(block.x_ND * 0, block.y_NK, block.w_N, num_train=7)
    again = rows.of(0, emptied, slice(2, 5))
    assert again.x_ND.data_ptr() == first.x_ND[2:].data_ptr(), "what was kept is not looked at again"
    np.testing.assert_array_equal(rows.of(0, block, slice(7, None)).y_NK[:, 0], [70.0, 80.0, 90.0])
    assert len(rows.of(0, block, slice(10, None)).x_ND) == 0
    assert rows.of(1, emptied, slice(2, 4)).x_ND[:, 0].tolist() == [0.0, 0.0], "there was no room for it"
    kept = rows.train_rows(0)
    assert kept is not None
    np.testing.assert_array_equal(kept.x_ND, block.x_ND[:7])
    assert (rows.train_rows(1), rows.num_kept) == (None, 10)


def test_rows_that_are_not_kept_stay_here_where_that_is_asked_for(block: Block) -> None:
    rows = DeviceRows(CPU, lambda: 0, num_rows=10)
    assert rows.of_or_here(0, block, slice(2, 5)).x_ND.data_ptr() == block.x_ND[2:].ctypes.data
    assert rows.keep(0, block) is None


def test_a_block_without_rows_takes_no_room(block: Block) -> None:
    empty = Block(block.x_ND[:0], block.y_NK[:0], None, num_train=0)
    rows = DeviceRows(CPU, lambda: 10_000, num_rows=10)
    assert len(rows.of(0, empty, slice(0, 0)).x_ND) == 0
    assert rows.keep(0, empty) is not None
    assert rows.keep(1, block) is not None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gets_the_same_rows(block: Block) -> None:
    taken = slice(2, 5)
    on_gpu = DeviceRows("cuda", Gpus.here().free_bytes("cuda"), num_rows=10)
    here, there = rows_of(block, taken, CPU), on_gpu.of(0, block, taken)
    torch.testing.assert_close(there.x_ND.cpu(), here.x_ND)
