"""`DeviceRows`: the one door through which rows get onto the device that computes.

To a GPU a block goes once, and stays there while there is room: the link is a hundred times slower than the
GPU's own memory, and a later epoch then reads nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.block import Block
from linreg_dist.training.rows.sweep import SLICE_ELEMENTS, Rows

_KEPT_FREE = 0.2  # of a GPU's memory, for what is computed there


class DeviceRows:
    """The rows of this worker's blocks on the device that computes; safe to use from several threads.

    Args:
        device: as torch names it.
        free_bytes: what there is for blocks on the device; None where blocks are where they should be.

    """

    def __init__(self, device: str, free_bytes: Callable[[], int] | None) -> None:
        self._device, self._free_bytes = device, free_bytes
        self._kept: dict[int, Rows] = {}
        self._lock = threading.Lock()

    @classmethod
    def on(cls, device: str) -> DeviceRows:
        """Return the rows on a device with as much room as a GPU has."""
        if device == "cpu":
            return cls(device, None)

        def free() -> int:
            free, total = torch.cuda.mem_get_info(torch.device(device))
            return int(free - _KEPT_FREE * total)

        return cls(device, free)

    def of(self, index: int, block: Block, rows: slice) -> Rows:
        """Return some rows of a block, as tensors.

        On the CPU they are views. On a GPU the whole block is kept from its first use on, while it fits; else
        the rows that are asked for are copied.

        Args:
            index: of the block's row group; it always stands for the same rows.
            block: of this worker.
            rows: a range.

        """
        if self._free_bytes is None:
            return rows_of(block, rows, self._device)
        with self._lock:
            kept = self._kept.get(index)
            if kept is None and block.nbytes <= self._free_bytes():
                kept = self._kept[index] = rows_of(block, slice(None), self._device)
        if kept is None:
            return rows_of(block, rows, self._device)
        start, stop, _ = rows.indices(block.num_rows)
        return kept.part(start, max(start, stop))


def rows_of(block: Block, rows: slice, device: str) -> Rows:
    """Return some rows of a block as tensors on ``device``.

    On the CPU they are views. To a GPU the columns are copied through pinned memory, asynchronously.
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
    step = max(64, SLICE_ELEMENTS // max(width, 1)) if rows.x_ND.device.type == "cpu" else max(1, num_rows)
    for part in (rows.part(start, start + step) for start in range(0, num_rows, step)):
        error = torch.addmm(intercept_K.to(dtype), part.x_ND, coef_DK.to(dtype)).sub_(part.y_NK)
        centred = part.y_NK - center_K.to(dtype)
        w = torch.ones_like(error[:, 0]) if part.w_N is None else part.w_N
        columns = torch.cat([error.square(), error.abs(), centred, centred.square()], dim=1)
        sums[0] += w.sum(dtype=torch.float64)
        sums[1:] += (w @ columns).double()
    found: npt.NDArray[np.float64] = sums.cpu().numpy()
    return found
