from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch

from linreg_dist.data.block import Block
from linreg_dist.training.rows.device import rows_of

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


def test_single_rows_are_gathered_column_by_column(block: Block) -> None:
    rows = rows_of(block, np.array([6, 0, 3]), CPU)
    np.testing.assert_array_equal(rows.x_ND.numpy(), block.x_ND[[6, 0, 3]])
    assert rows.x_ND.t().is_contiguous()
    assert rows.w_N is not None
    assert rows.w_N.tolist() == [7.0, 1.0, 4.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("taken", [slice(2, 5), np.array([6, 0, 3])])
def test_a_gpu_gets_the_same_rows(block: Block, taken: slice | npt.NDArray[np.int64]) -> None:
    here, there = rows_of(block, taken, CPU), rows_of(block, taken, "cuda")
    torch.testing.assert_close(there.x_ND.cpu(), here.x_ND)
    assert there.x_ND.t().is_contiguous()
