"""`Moments` that were read from a file, checked before anything is solved from them."""

from __future__ import annotations

import math

import numpy as np

from linreg_dist.stats.moments import Moments

_ROUNDING = 1e-6


def check_moments(moments: Moments) -> None:
    """Check counts, sums, shapes, and that the cross products can be such.

    After a subtraction a variance may be below zero by rounding: that is let through.

    Raises:
        ValueError: says what is wrong.

    """
    size = len(moments.feature_names) + len(moments.target_names)
    if not 0 <= moments.n_zero_weight <= moments.n:
        raise ValueError(f"it counts {moments.n} rows, {moments.n_zero_weight} of them without weight")
    if not all(map(math.isfinite, (moments.sum_w, moments.sum_w2, moments.sum_log_w))):
        raise ValueError("its sums of weights are not finite")
    if moments.sum_w < -_ROUNDING or moments.sum_w2 < -_ROUNDING:
        raise ValueError("its sums of weights are negative")
    for name, shape in (("shift", (size,)), ("offset", (size,)), ("cross", (size, size))):
        array = getattr(moments, name)
        if array.dtype != np.float64 or array.shape != shape:
            raise ValueError(
                f"{name} has the shape {array.shape} of {array.dtype}, expected {shape} of float64"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has numbers that are not finite")
    diagonal = moments.cross.diagonal()
    with np.errstate(over="ignore", invalid="ignore"):  # of numbers that nobody has summed
        largest = float(np.abs(diagonal).max()) if size else 0.0
        scale = largest + moments.sum_w * float(np.square(moments.mean).max()) if size else 0.0
        skew = np.abs(moments.cross - moments.cross.T)
    if (skew > _ROUNDING * largest).any():
        raise ValueError("its cross products are not symmetric")
    if (diagonal < -_ROUNDING * scale).any():
        raise ValueError("it has sums of squares below zero")
