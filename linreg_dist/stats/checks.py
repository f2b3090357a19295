"""`Moments` that were read from a file, checked before anything is solved from them."""

from __future__ import annotations

import math

import torch

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
        tensor: torch.Tensor = getattr(moments, name)
        if tensor.dtype != torch.float64 or tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name} has the shape {tuple(tensor.shape)} of {tensor.dtype}, expected {shape} of float64"
            )
        if not bool(torch.isfinite(tensor).all()):
            raise ValueError(f"{name} has numbers that are not finite")
    diagonal = moments.cross.diagonal()
    largest = float(diagonal.abs().max()) if size else 0.0
    scale = largest + moments.sum_w * float((moments.shift + moments.offset).square().max()) if size else 0.0
    if bool((moments.cross - moments.cross.t()).abs().gt(_ROUNDING * largest).any()):
        raise ValueError("its cross products are not symmetric")
    if bool(diagonal.lt(-_ROUNDING * scale).any()):
        raise ValueError("it has sums of squares below zero")
