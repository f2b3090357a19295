"""Sums of errors over rows, and counts of residuals by size, natively.

Shape suffixes: D encoded columns, K targets, T rows of a tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from linreg_dist.kernels.compile import kernel, strict_kernel
from linreg_dist.kernels.memory import pointer
from linreg_dist.kernels.sweep import residuals
from linreg_dist.kernels.units import ROWS, X_STRIDE, Y_STRIDE, W, X, Y, tile_rows


@kernel
def _error_tile(y: int, w: int, rows: int, center: Any, residual_T: Any, sums: Any) -> None:
    target = pointer(y, residual_T)
    weights = pointer(w, residual_T)
    zero = center - center
    squared = absolute = total = total_squared = zero
    if w != 0:
        for i in range(rows):
            r, c, weight = residual_T[i], target[i] - center, weights[i]
            squared += weight * r * r
            absolute += weight * abs(r)
            total += weight * c
            total_squared += weight * c * c
    else:
        for i in range(rows):
            r, c = residual_T[i], target[i] - center
            squared += r * r
            absolute += abs(r)
            total += c
            total_squared += c * c
    sums[0] += squared
    sums[1] += absolute
    sums[2] += total
    sums[3] += total_squared


@kernel
def _weight_tile(w: int, rows: int, like: Any) -> float:
    weights = pointer(w, like)
    total = 0.0
    for i in range(rows):
        total += weights[i]
    return total


@strict_kernel
def error_sums(piece: Any, coef_KD: Any, intercept_K: Any, center_K: Any, sums: Any) -> None:
    """Write Σw and, for each target, Σ w e², Σ w |e|, Σ w c and Σ w c² (c: the target less its center).

    Args:
        piece: (6,) int64, see `linreg_dist.kernels.sweep`.
        coef_KD, intercept_K, center_K: in the type of the rows.
        sums: (1 + 4 K,) float64, filled: Σw, then (4, K).

    """
    sums[:] = 0.0
    num_targets, width = coef_KD.shape
    itemsize = coef_KD.itemsize
    most = tile_rows(width + num_targets, itemsize)
    residual_T = np.empty(most, coef_KD.dtype)
    found = np.zeros(4, np.float64)
    rows = piece[ROWS]
    tiles = (rows + most - 1) // most
    for i in range(tiles):
        low, high = rows * i // tiles, rows * (i + 1) // tiles
        w = piece[W] + low * itemsize if piece[W] != 0 else 0
        sums[0] += _weight_tile(w, high - low, residual_T) if w != 0 else high - low
        for k in range(num_targets):
            x, y = piece[X] + low * itemsize, piece[Y] + k * piece[Y_STRIDE] + low * itemsize
            residuals(x, piece[X_STRIDE], y, high - low, coef_KD[k], intercept_K[k], residual_T)
            found[:] = 0.0
            _error_tile(y, w, high - low, center_K[k], residual_T, found)
            for j in range(4):
                sums[1 + j * num_targets + k] += found[j]


@strict_kernel
def count_residuals(piece: Any, coef_KD: Any, intercept_K: Any, low_K: Any, width_K: Any, counts: Any) -> Any:
    """Add the weight of the rows to the bins that their |residual| falls into; return the largest, (K,).

    Args:
        piece, coef_KD, intercept_K: as in `error_sums`.
        low_K, width_K: where the bins of each target begin, and how wide they are.
        counts: (K, B + 2) float64: below, B bins, above.

    """
    num_targets, width = coef_KD.shape
    itemsize = coef_KD.itemsize
    most = tile_rows(width + num_targets, itemsize)
    bins = counts.shape[1] - 2
    residual_T = np.empty(most, coef_KD.dtype)
    largest_K = np.zeros(num_targets, np.float64)
    weights = pointer(piece[W], residual_T)
    rows = piece[ROWS]
    tiles = (rows + most - 1) // most
    for t in range(tiles):
        low, high = rows * t // tiles, rows * (t + 1) // tiles
        for k in range(num_targets):
            x, y = piece[X] + low * itemsize, piece[Y] + k * piece[Y_STRIDE] + low * itemsize
            residuals(x, piece[X_STRIDE], y, high - low, coef_KD[k], intercept_K[k], residual_T)
            for i in range(high - low):
                size = abs(np.float64(residual_T[i]))
                largest_K[k] = max(largest_K[k], size)
                place = np.floor((size - low_K[k]) / width_K[k])
                place = min(max(place, -1.0), float(bins))
                counts[k, int(place) + 1] += weights[low + i] if piece[W] != 0 else 1.0
    return largest_K
