"""Small helpers shared by the tests of the statistics."""

from __future__ import annotations

import numpy as np

from linreg_dist.stats.moments import Moments, merged_moments
from linreg_dist.stats.tsqr import RFactor


def column_major(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(np.atleast_2d(array.T)).T


def blocks_of(x, y, w=None, rows=None):
    """Yield (x_ND, y_NK, w_N) blocks of at most ``rows`` rows; ``y`` may be one- or two-dimensional."""
    y = y if y.ndim == 2 else y[:, None]
    rows = rows or max(1, len(x) // 3)
    for i in range(0, len(x), rows):
        part = slice(i, i + rows)
        weight = None if w is None else np.asarray(w[part], dtype=float)
        yield column_major(x[part]), column_major(y[part]), weight


def moments_of(x, y, w=None, rows=None, **names) -> Moments:
    return merged_moments([Moments.from_block(*block, **names) for block in blocks_of(x, y, w, rows)])


def factor_of(x, y, w=None, rows=None, **names) -> RFactor:
    factor = RFactor.empty(moments_of(x, y, w, rows, **names))
    for block in blocks_of(x, y, w, rows):
        factor.accumulate(*block)
    return factor


def with_ones(x):
    return np.column_stack([np.ones(len(x)), x])
