"""`rows_of`: the one door through which rows get onto the device that computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.block import Block
from linreg_dist.training.rows.sweep import Rows

Ints = npt.NDArray[np.int64]


def rows_of(block: Block, rows: slice | Ints, device: torch.device) -> Rows:
    """Return some rows of a block as tensors on ``device``.

    On the CPU those of a slice are views. To a GPU the columns are copied through pinned memory,
    asynchronously.

    Args:
        block: of this worker.
        rows: a range, or the numbers of single rows.
        device: where to.

    """
    part = block.part(rows)

    def take(array: npt.NDArray[Any]) -> torch.Tensor:
        columns = torch.from_numpy(array.T)
        if device.type != "cpu":
            columns = columns.contiguous().pin_memory().to(device, non_blocking=True)
        return columns.t()

    w_N = None if part.w_N is None else take(part.w_N)
    return Rows(take(part.x_ND), take(part.y_NK), w_N, block.native and device.type == "cpu")
