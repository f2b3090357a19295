"""Weighted moments and quantiles, and edges that show where most values lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.float64]

_OUTSIDE = 0.004  # share of the values that may lie beyond either end of a frame
_LOOKED_AT = 50_000


def quantiles(values_N: Vector, w_N: Vector | None, shares: Sequence[float]) -> Vector:
    """Return quantiles, (len(shares),); NaN of no values.

    Without weights as `numpy.quantile`. With them the value below which a share of the weight lies,
    interpolated between the middles of neighbouring values' weights.
    """
    if not len(values_N):
        return np.full(len(shares), np.nan)
    if w_N is None:
        return _unweighted(values_N, np.asarray(shares, dtype=np.float64))
    order = np.argsort(values_N, kind="stable")
    weights = w_N[order]
    middles = np.cumsum(weights) - weights / 2
    return np.asarray(np.interp(np.asarray(shares) * weights.sum(), middles, values_N[order]))


def _unweighted(values_N: Vector, shares: Vector) -> Vector:
    """Return what `numpy.quantile` does, without what it costs to call: a page asks for some hundreds."""
    place = shares * (len(values_N) - 1)
    low = np.floor(place).astype(np.intp)
    high = np.minimum(low + 1, len(values_N) - 1)
    parted = np.partition(values_N, np.unique(np.concatenate([low, high])))
    below, above, part = parted[low], parted[high], place - low
    step = above - below
    return np.where(part < 0.5, below + step * part, above - step * (1 - part))


def moments(values_N: Vector, w_N: Vector | None) -> tuple[float, float, float | None, float | None]:
    """Return mean, population standard deviation, skewness and excess kurtosis; None where all are equal."""
    mean = float(np.average(values_N, weights=w_N))
    centred = values_N - mean
    square = centred * centred
    variance = float(np.average(square, weights=w_N))
    if variance <= 0:
        return mean, 0.0, None, None
    third = float(np.average(square * centred, weights=w_N))
    fourth = float(np.average(square * square, weights=w_N))
    return mean, variance**0.5, third / variance**1.5, fourth / variance**2 - 3.0


def framed(values_N: Vector, cells: int) -> Vector:
    """Return the edges of equal cells that hold all but a few of the values at either end."""
    some = values_N[:: -(-len(values_N) // _LOOKED_AT)]
    low, high = np.quantile(some, (_OUTSIDE, 1 - _OUTSIDE))
    if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
        room = 0.5 * abs(low) or 0.5
        low, high = low - room, high + room
    margin = 0.02 * (high - low)
    return np.linspace(low - margin, high + margin, cells + 1)


def cells_of(values_N: Vector, edges: Vector) -> npt.NDArray[np.intp]:
    """Return the cell of each value between edges of equal distance: 0 is below them, len(edges) above."""
    count = len(edges) - 1
    cells = np.floor((values_N - edges[0]) * (count / (edges[-1] - edges[0])))
    return np.asarray(np.clip(cells, -1, count) + 1, dtype=np.intp)
