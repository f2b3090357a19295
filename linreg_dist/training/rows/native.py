"""The native kernels for tensors: pieces by their addresses, and a step's or a pass's sums from them.

Shape suffixes: D encoded columns, K targets, P pieces.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING:
    from linreg_dist.training.rows.sweep import Hyperplane, Rows

_ALONE_ELEMENTS = 1 << 17  # below this other threads would come too late to help

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def addresses(pieces: Sequence[Rows]) -> Ints:
    """Return what kernels need to know of pieces, (P, 6); the pieces must outlive it.

    Raises:
        ValueError: the columns of a piece are not contiguous.

    """
    table = np.zeros((len(pieces), 6), dtype=np.int64)
    for place, rows in zip(table, pieces, strict=True):
        x, y, w = rows.x_ND, rows.y_NK, rows.w_N
        num_rows = x.shape[0]
        if num_rows > 1 and any(tensor.stride(0) != 1 for tensor in (x, y, *([] if w is None else [w]))):
            raise ValueError("the columns of a piece must be contiguous")
        size = x.element_size()
        place[:] = (
            x.data_ptr(),
            x.stride(1) * size,
            y.data_ptr(),
            y.stride(1) * size,
            0 if w is None else w.data_ptr(),
            num_rows,
        )
    return table


class Work:
    """The units that pieces of one or more steps are cut into, and the scratch to sweep them.

    Args:
        pieces: (P, 6).
        step_ptr: (S + 1,) where each step's pieces begin.
        num_features, num_targets: D and K.
        dtype: of the rows.

    """

    def __init__(
        self, pieces: Ints, step_ptr: Ints, num_features: int, num_targets: int, dtype: np.dtype[Any]
    ) -> None:
        from linreg_dist.kernels.sweep import CONTROL_SIZE
        from linreg_dist.kernels.units import cut_units

        width = num_features + num_targets
        self.pieces, self.num_steps = pieces, len(step_ptr) - 1
        self.unit_ptr = np.zeros(len(step_ptr), dtype=np.int64)
        none = np.empty((0, 4), dtype=np.int64)
        count = cut_units(pieces, step_ptr, width, dtype.itemsize, none, self.unit_ptr)
        self.units = np.empty((count, 4), dtype=np.int64)
        if count:
            cut_units(pieces, step_ptr, width, dtype.itemsize, self.units, self.unit_ptr)
        self.has_small = bool((self.units[:, 2] < 0).any())
        self.control = np.zeros(CONTROL_SIZE, dtype=np.int64)
        size = 1 + num_targets * (3 + num_features)
        most = int(np.diff(self.unit_ptr).max(initial=0))
        self.parts, self.sums = np.empty((most, size)), np.zeros(size)
        self.elements = int(pieces[:, 5].sum()) * width // max(self.num_steps, 1)


def run(
    work: Work,
    plane: tuple[Floats, ...],
    narrow: tuple[npt.NDArray[Any], ...],
    is_huber: bool,
    rule: tuple[float, ...],
    state: tuple[Any, ...],
    rates: Floats,
    executor: ThreadPoolExecutor | None,
    num_threads: int,
) -> None:
    """Run all steps of ``work`` on this thread and, where they have enough rows, on the executor's."""
    from linreg_dist.kernels.sweep import run_steps

    arguments = (
        work.control,
        work.pieces,
        work.units,
        work.unit_ptr,
        plane,
        narrow,
        is_huber,
        work.has_small,
        work.parts,
        work.sums,
        rule,
        state,
        rates,
    )
    helpers = []
    if executor is not None and work.elements >= _ALONE_ELEMENTS:
        helpers = [executor.submit(run_steps, *arguments) for _ in range(num_threads - 1)]
    try:
        run_steps(*arguments)
    finally:  # they use the same arrays
        for helper in helpers:
            if not helper.cancel():
                helper.result()


def planes_of(plane: Hyperplane, dtype: np.dtype[Any]) -> tuple[tuple[Floats, ...], tuple[Any, ...]]:
    """Return coefficients (K, D), intercepts and ε of Huber (K), in float64 and in the type of the rows."""
    targets = plane.coef_DK.shape[1]
    epsilon = np.zeros(targets) if plane.epsilon_K is None else plane.epsilon_K.numpy()
    wide = (np.ascontiguousarray(plane.coef_DK.numpy().T), plane.intercept_K.numpy(), epsilon)
    return wide, tuple(part.astype(dtype) for part in wide)


def sweep_sums(
    pieces: Sequence[Rows], plane: Hyperplane, executor: ThreadPoolExecutor | None, num_threads: int
) -> torch.Tensor:
    """Return Σw, Σ loss (K), Σ w r² (K), Σ w ψ (K) and Σ w x ψ (K, D) over pieces, flat, in float64.

    Args:
        pieces: on the CPU, of one type, at least one.
        plane: float64.
        executor, num_threads: threads to share with, None for this one alone.

    """
    from linreg_dist.kernels.update import NO_RULE

    width, targets = plane.coef_DK.shape
    dtype = np.dtype(str(pieces[0].x_ND.dtype).removeprefix("torch."))
    table = addresses(pieces)
    work = Work(table, np.array([0, len(table)], dtype=np.int64), width, targets, dtype)
    if len(work.units):
        wide, narrow = planes_of(plane, dtype)
        rule = (NO_RULE, 0.0, 0.0, 0, 1, 0)
        none = np.zeros(0)
        state = (none,) * 5 + (np.zeros(2, dtype=np.int64), none, (none,) * 4, none)
        is_huber = plane.epsilon_K is not None
        run(work, wide, narrow, is_huber, rule, state, np.zeros(1), executor, num_threads)
    return torch.from_numpy(work.sums)


def count_residuals(
    rows: Rows, coef_DK: torch.Tensor, intercept_K: torch.Tensor, low_K: Floats, width_K: Floats, bins: int
) -> tuple[Floats, Floats]:
    """Return the weight of rows by the size of their residual, (K, bins + 2), and the largest size, (K,)."""
    from linreg_dist.kernels.metrics import count_residuals as kernel

    counts = np.zeros((coef_DK.shape[1], bins + 2))
    piece = addresses([rows])[0]
    largest: Floats = kernel(piece, *_narrow(rows, coef_DK, intercept_K), low_K, width_K, counts)
    return counts, largest


def _narrow(
    rows: Rows, coef_DK: torch.Tensor, intercept_K: torch.Tensor
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    return np.ascontiguousarray(_as(rows, coef_DK).T), _as(rows, intercept_K)


def _as(rows: Rows, values: torch.Tensor) -> npt.NDArray[Any]:
    return values.detach().to(rows.x_ND.dtype).numpy()
