"""Moments of some rows of columns that lie apart, by one native call: a point near the mean, the sums around
it, and what these are around the mean.

All that happens to a row group between its decoder and its merge is in this call, so that the interpreter's
lock is held for none of it. Shape suffix: Z columns, features and targets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from linreg_dist.kernels.compile import plain_strict_kernel
from linreg_dist.kernels.memory import float32_at, float64_at, int64_at
from linreg_dist.kernels.moments import fold_float32, fold_float64

PILOT_ROWS = 256


@plain_strict_kernel
def _around_mean(size: int, num_rows: int, sums: int, padded: int, offsets: int, cross: int) -> bool:
    """Turn sums around a shift into the mean less the shift and the products around the mean.

    The shift is at most about a standard deviation from the mean: this cancels nothing.
    """
    gram, offset, out = float64_at(sums), float64_at(offsets), float64_at(cross)
    is_finite = True
    root = np.sqrt(np.float64(num_rows))
    for i in range(size):
        offset[i] = gram[i * padded + size] / num_rows
        is_finite = is_finite and np.isfinite(gram[i * padded + i])
    for i in range(size):
        for j in range(size):
            # In this order both halves of the matrix have the same bits.
            out[i * size + j] = gram[i * padded + j] - (offset[i] * root) * (offset[j] * root)
    return is_finite


def _moments_for(values_at: Any, fold: Any) -> Callable[..., int]:
    @plain_strict_kernel
    def pilot(columns: int, size: int, first: int, end: int, listed: int, shift: int) -> None:
        """Write the mean of at most 256 evenly spaced rows; zeros where no mean exceeds its spread."""
        addresses, means, chosen = int64_at(columns), float64_at(shift), int64_at(listed)
        step = max(1, (end - first + PILOT_ROWS - 1) // PILOT_ROWS)
        count = np.float64((end - first + step - 1) // step)
        is_near = True
        for z in range(size):
            values = values_at(addresses[z])
            at = first
            if listed != 0:
                at = chosen[first]
            near, total, squares = np.float64(values[at]), 0.0, 0.0
            for i in range(first, end, step):
                at = i
                if listed != 0:
                    at = chosen[i]
                total += np.float64(values[at]) - near
            offset = total / count
            for i in range(first, end, step):
                at = i
                if listed != 0:
                    at = chosen[i]
                away = np.float64(values[at]) - near - offset
                squares += away * away
            means[z] = near + offset
            is_near = is_near and abs(means[z]) <= np.sqrt(squares / count)
        if is_near:
            for z in range(size):
                means[z] = 0.0

    def moments(
        columns: int,
        size: int,
        w: int,
        first: int,
        end: int,
        listed: int,
        tile: int,
        most: int,
        gram: int,
        padded: int,
        out: int,
    ) -> int:
        """Write shift, offset and products, and return 1; 0 where a value is missing or too large.

        With weights, what is written is the shift and the sums around it, and the sign is not told.

        All arguments are int64; see `linreg_dist.kernels.calls.row_moments`, which makes them.
        """
        scratch, sums = float64_at(tile), float64_at(gram)
        for i in range(padded * padded):
            sums[i] = 0.0
        for i in range(size * most, padded * most):
            scratch[i] = 0.0
        for i in range(size * most, (size + 1) * most):
            scratch[i] = 1.0
        pilot(columns, size, first, end, listed, out)
        fold(columns, size, w, first, end, listed, out, tile, most, gram, padded)
        offsets, cross = out + size * 8, out + 2 * size * 8
        if w == 0:
            return int(_around_mean(size, end - first, gram, padded, offsets, cross))
        into = float64_at(offsets)
        is_finite = True
        for i in range(size):
            into[i] = sums[i * padded + size]
            is_finite = is_finite and np.isfinite(sums[i * padded + i])
            for j in range(size):
                into[(i + 1) * size + j] = sums[i * padded + j]
        return int(is_finite)

    return plain_strict_kernel(moments)


moments_float32, moments_float64 = (
    _moments_for(float32_at, fold_float32),
    _moments_for(float64_at, fold_float64),
)
