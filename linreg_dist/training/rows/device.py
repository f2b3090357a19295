"""`rows_of`: the one door through which rows get onto the device that computes."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.block import Block
from linreg_dist.training.rows.sweep import SLICE_ELEMENTS, Rows

Ints = npt.NDArray[np.int64]


def rows_of(block: Block, rows: slice | Ints, device: str) -> Rows:
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
        if device != "cpu":
            columns = columns.contiguous().pin_memory().to(device, non_blocking=True)
        return columns.t()

    w_N = None if part.w_N is None else take(part.w_N)
    return Rows(take(part.x_ND), take(part.y_NK), w_N, block.native and device == "cpu")


def error_sums(
    rows: Rows, coef_DK: torch.Tensor, intercept_K: torch.Tensor, center_K: torch.Tensor
) -> npt.NDArray[np.float64]:
    """Return what `linreg_dist.training.rows.metrics.ErrorSums` holds, for rows on a GPU.

    Args:
        rows: there.
        coef_DK, intercept_K: predict in the units of the rows; float64, on the same device.
        center_K: of the targets, likewise.

    """
    (num_rows, width), targets, dtype = rows.x_ND.shape, coef_DK.shape[1], rows.x_ND.dtype
    sums = torch.zeros(1 + 4 * targets, dtype=torch.float64, device=rows.x_ND.device)
    step = max(64, SLICE_ELEMENTS // max(width, 1))
    for part in (rows.part(start, start + step) for start in range(0, num_rows, step)):
        error = torch.addmm(intercept_K.to(dtype), part.x_ND, coef_DK.to(dtype)).sub_(part.y_NK)
        centred = part.y_NK - center_K.to(dtype)
        w = torch.ones_like(error[:, 0]) if part.w_N is None else part.w_N
        columns = torch.cat([error.square(), error.abs(), centred, centred.square()], dim=1)
        sums[0] += w.sum(dtype=torch.float64)
        sums[1:] += (w @ columns).double()
    found: npt.NDArray[np.float64] = sums.cpu().numpy()
    return found
