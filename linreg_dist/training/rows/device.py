"""`DeviceRows`: the one door through which rows get onto the device that computes.

To a GPU a block goes once, and stays there while there is room: the link is a hundred times slower than the
GPU's own memory, and a later epoch then reads nothing else.

Shape suffixes: R rows that there is room for, D encoded columns, K targets.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.block import Block
from linreg_dist.training.rows.sweep import SLICE_ELEMENTS, Rows


@dataclass(frozen=True)
class KeptBlock:
    """Where a block is among the rows that are kept on the device.

    Attributes:
        start: its first row.
        num_rows, num_train: as of the block.

    """

    start: int
    num_rows: int
    num_train: int


class DeviceRows:
    """The rows of this worker's blocks on the device that computes; safe to use from several threads.

    Args:
        device: as torch names it.
        free_bytes: what there is for blocks on the device; None where blocks are where they should be.
        num_rows: of all blocks of this worker.

    Attributes:
        x_RD, y_RK, w_R: all rows that are kept, block after block, each row's numbers next to each other;
            None before the first one is, and the weights also where there are none.

    """

    def __init__(self, device: str, free_bytes: Callable[[], int] | None, num_rows: int = 0) -> None:
        self._device, self._free_bytes, self.num_rows = device, free_bytes, num_rows
        self._kept: dict[int, KeptBlock] = {}
        self._lock = threading.Lock()
        self._room: int | None = None
        self._used = 0
        self.x_RD: torch.Tensor | None = None
        self.y_RK: torch.Tensor | None = None
        self.w_R: torch.Tensor | None = None

    @property
    def num_kept(self) -> int:
        """Rows that are kept on the device."""
        with self._lock:
            return sum(kept.num_rows for kept in self._kept.values())

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
        kept = self.keep(index, block)
        if kept is None or not kept.num_rows:
            return rows_of(block, rows, self._device)
        return self._view(kept, rows)

    def of_or_here(self, index: int, block: Block, rows: slice) -> Rows:
        """Return some rows of a block, on the device where they are kept there, else where they are."""
        kept = self.place(index)
        return rows_of(block, rows, "cpu") if kept is None else self._view(kept, rows)

    def place(self, index: int) -> KeptBlock | None:
        """Return where a block is kept; None if it is not."""
        with self._lock:
            return self._kept.get(index)

    def train_rows(self, index: int) -> Rows | None:
        """Return the training rows of a block that is kept; None if it is not."""
        kept = self.place(index)
        return None if kept is None else self._view(kept, slice(0, kept.num_train))

    def keep(self, index: int, block: Block) -> KeptBlock | None:
        """Keep a block on the device and return where, None where there is no room for it."""
        if self._free_bytes is None:
            return None
        if not block.num_rows:
            return KeptBlock(0, 0, 0)
        with self._lock:
            kept = self._kept.get(index)
            if kept is not None:
                return kept
            if self._room is None:
                self._make_room(block, self._free_bytes())
            if self._used + block.num_rows > (self._room or 0):
                return None
            kept = KeptBlock(self._used, block.num_rows, block.num_train)
            self._used += block.num_rows
        there, here = self._view(kept, slice(None)), rows_of(block, slice(None), self._device)
        there.x_ND.copy_(here.x_ND)
        there.y_NK.copy_(here.y_NK)
        if there.w_N is not None and here.w_N is not None:
            there.w_N.copy_(here.w_N)
        with self._lock:  # two threads may have copied it: it is kept once, and the other's place is lost
            return self._kept.setdefault(index, kept)

    def _make_room(self, block: Block, free_bytes: int) -> None:
        """Take memory for all rows, or for as many as fit, in one piece: a step gathers its rows there."""
        row_bytes = block.nbytes // block.num_rows
        self._room = max(0, min(self.num_rows, free_bytes // row_bytes))
        if not self._room:
            return
        dtype = torch.from_numpy(block.x_ND[:0]).dtype

        def empty(*shape: int) -> torch.Tensor:
            return torch.empty(shape, dtype=dtype, device=self._device)

        self.x_RD = empty(self._room, block.x_ND.shape[1])
        self.y_RK = empty(self._room, block.y_NK.shape[1])
        self.w_R = None if block.w_N is None else empty(self._room)

    def _view(self, kept: KeptBlock, rows: slice) -> Rows:
        start, stop, _ = rows.indices(kept.num_rows)
        part = slice(kept.start + start, kept.start + max(start, stop))
        if self.x_RD is None or self.y_RK is None:
            raise RuntimeError("a block is kept where there is no room for any")
        return Rows(self.x_RD[part], self.y_RK[part], None if self.w_R is None else self.w_R[part])


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
