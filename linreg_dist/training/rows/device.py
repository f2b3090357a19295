"""`rows_of`: the one door through which rows get onto the device that computes."""

from __future__ import annotations

import torch

from linreg_dist.data.block import Block
from linreg_dist.training.rows.sweep import Rows


def rows_of(block: Block, rows: slice | torch.Tensor, device: torch.device) -> Rows:
    """Return some rows of a block, on ``device``.

    On the CPU those of a slice are views. To a GPU the columns are copied through pinned memory,
    asynchronously.

    Args:
        block: of this worker.
        rows: a range, or the numbers of single rows.
        device: where to.

    """
    if device.type == "cpu" and isinstance(rows, slice):
        w_N = None if block.w_N is None else block.w_N[rows]
        return Rows(block.x_ND[rows], block.y_NK[rows], w_N, block.native)

    def take(tensor: torch.Tensor) -> torch.Tensor:
        # Transposed, so that what is contiguous in a block (a column) stays so in the copy.
        columns = tensor.t()[..., rows] if isinstance(rows, slice) else tensor.t().index_select(-1, rows)
        if device.type != "cpu":
            columns = columns.contiguous().pin_memory().to(device, non_blocking=True)
        return columns.t()

    w_N = None if block.w_N is None else take(block.w_N)
    return Rows(take(block.x_ND), take(block.y_NK), w_N, block.native and device.type == "cpu")
