"""Random blocks at any alignment, cut into pieces, as the kernels take them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st

from linreg_dist.kernels.units import PIECE_FIELDS


@dataclass(frozen=True)
class Problem:
    x_DN: np.ndarray
    y_KN: np.ndarray
    w_N: np.ndarray | None
    coef_KD: np.ndarray
    intercept_K: np.ndarray
    cuts: list[int]

    @property
    def dtype(self) -> np.dtype:
        return self.x_DN.dtype

    def piece(self, start: int, stop: int) -> list[int]:
        skip = start * self.dtype.itemsize
        w = 0 if self.w_N is None else self.w_N.ctypes.data + skip
        x, y = self.x_DN.ctypes.data + skip, self.y_KN.ctypes.data + skip
        return [x, self.x_DN.strides[0], y, self.y_KN.strides[0], w, stop - start]

    def pieces(self) -> np.ndarray:
        edges = [0, *self.cuts, self.x_DN.shape[1]]
        made = [self.piece(a, b) for a, b in pairwise(edges)]
        return np.array(made, dtype=np.int64).reshape(-1, PIECE_FIELDS)

    def moved(self, skip: int) -> Problem:
        """The same numbers at another alignment."""
        w_N = None if self.w_N is None else at_offset(self.w_N, skip)
        x_DN, y_KN = at_offset(self.x_DN, skip), at_offset(self.y_KN, skip)
        return Problem(x_DN, y_KN, w_N, self.coef_KD, self.intercept_K, self.cuts)

    def residual_KN(self) -> np.ndarray:
        x_DN, y_KN = self.x_DN.astype(np.float64), self.y_KN.astype(np.float64)
        return self.coef_KD @ x_DN + self.intercept_K[:, None] - y_KN

    def weights_N(self) -> np.ndarray:
        return np.ones(self.x_DN.shape[1]) if self.w_N is None else self.w_N.astype(np.float64)

    @property
    def rtol(self) -> float:
        return 2e-5 if self.dtype == np.float32 else 1e-12


def at_offset(values: np.ndarray, skip: int) -> np.ndarray:
    """Copy to memory that begins ``skip`` items after a multiple of 64 bytes."""
    raw = np.empty(values.nbytes + 64 + skip * values.itemsize, dtype=np.uint8)
    start = -raw.ctypes.data % 64 + skip * values.itemsize
    copy = raw[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


@st.composite
def problems(draw: st.DrawFn, max_rows: int = 3000) -> Problem:
    rows = draw(st.integers(0, max_rows))
    width, targets = draw(st.integers(1, 11)), draw(st.integers(1, 3))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    cuts = sorted(draw(st.lists(st.integers(0, rows), max_size=6)))
    return Problem(
        rng.normal(0.3, 1, (width, rows)).astype(dtype),
        rng.normal(-0.2, 1, (targets, rows)).astype(dtype),
        rng.uniform(0, 2, rows).astype(dtype) if draw(st.booleans()) else None,
        rng.normal(0, 1, (targets, width)).astype(dtype).astype(np.float64),
        rng.normal(0, 1, targets).astype(dtype).astype(np.float64),
        cuts,
    )
