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

    def take(array: npt.NDArray[Any]) -> torch.Tensor:
        # Transposed, so that what is contiguous in a block (a column) stays so in a copy.
        chosen = array.T[..., rows] if isinstance(rows, slice) else np.take(array.T, rows, axis=-1)
        columns = torch.from_numpy(chosen)
        if device.type != "cpu":
            columns = columns.contiguous().pin_memory().to(device, non_blocking=True)
        return columns.t()

    w_N = None if block.w_N is None else take(block.w_N)
    return Rows(take(block.x_ND), take(block.y_NK), w_N, block.native and device.type == "cpu")
