from __future__ import annotations

import numpy as np
import pytest
import torch

from linreg_dist.data.block import Block
from linreg_dist.training.rows.device import DeviceRows, rows_of

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
    room = [block.nbytes * 3 // 2, block.nbytes // 2]
    rows = DeviceRows(CPU, lambda: room[0])
    first = rows.of(0, block, slice(0, block.num_train))
    room.pop(0)
    other = Block(block.x_ND + 1, block.y_NK, None, num_train=7)
    assert rows.of(1, other, slice(2, 4)).x_ND[:, 0].tolist() == [3.0, 4.0], "copied, not kept"
    emptied = Block(block.x_ND * 0, block.y_NK, block.w_N, num_train=7)
    again = rows.of(0, emptied, slice(2, 5))
    assert again.x_ND.data_ptr() == first.x_ND[2:].data_ptr(), "what was kept is not looked at again"
    np.testing.assert_array_equal(rows.of(0, block, slice(7, None)).y_NK[:, 0], [70.0, 80.0, 90.0])
    assert len(rows.of(0, block, slice(10, None)).x_ND) == 0
    assert rows.of(1, emptied, slice(2, 4)).x_ND[:, 0].tolist() == [0.0, 0.0], "there was no room for it"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gets_the_same_rows(block: Block) -> None:
    taken = slice(2, 5)
    here, there = rows_of(block, taken, CPU), DeviceRows.on("cuda").of(0, block, taken)
    torch.testing.assert_close(there.x_ND.cpu(), here.x_ND)
    assert there.x_ND.t().is_contiguous()
