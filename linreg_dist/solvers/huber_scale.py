"""The scale of residuals that Huber's ε is measured in: the median absolute residual, over 0.6745.

0.6745 is the third quartile of the standard normal distribution, so for normal residuals it is their standard
deviation, and up to half of the rows may lie anywhere without moving it far (Huber and Ronchetti, Robust
Statistics, 2nd ed., section 5.1; statsmodels' `RLM` has the same, ``scale_est="mad"`` about zero).

Huber's loss is r² where |r| ≤ ε·s and 2ε·s·|r| - (ε·s)² beyond, ε = ``huber_epsilon`` and s this scale. Every
solver measures s again before each epoch, at the weights that it has then: the fixed point is the M-estimate
with a MAD scale, the same for all of them.

The median is found by counting into ever finer bins, a pass over the kept blocks for each: no sorting, no
gathering of rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.training.rows import native
from linreg_dist.training.rows.sweep import Rows
from linreg_dist.training.training import Training

NORMAL_QUARTILE = 0.6744897501960817
_BINS = 4096
_MAX_ROUNDS = 8
_SMALLEST = 1e-6  # of the target's standard deviation

Vector = npt.NDArray[np.float64]


def huber_scale(
    training: Training,
    coef_DK: torch.Tensor,
    intercept_K: torch.Tensor,
    std_K: Vector,
    *,
    near_K: Vector | None = None,
    rtol: float = 1e-8,
) -> Vector:
    """Return the weighted median of |residual| / 0.6745 per target, (K,), in the units of the target.

    Where more than half of the residuals vanish the median is zero, and a Huber loss of that scale is none:
    so it is never below 1e-6 standard deviations of the target.

    Args:
        training: this worker's part in the job. Every worker must call it.
        coef_DK, intercept_K: the model, in block units, on this worker's device.
        std_K: of the targets.
        near_K: where to look first, the scale before, say: saves passes where it is right within a factor 2.
        rtol: relative accuracy; one pass does for 2e-4 near ``near_K``.

    """
    floor = _SMALLEST * np.where(std_K > 0, std_K, 1.0) * NORMAL_QUARTILE

    def narrow(low: Vector, high: Vector) -> tuple[Vector, Vector, bool]:
        return _narrow(training, coef_DK, intercept_K, low, high)

    low = high = None
    if near_K is not None and near_K.all():
        middle = near_K * NORMAL_QUARTILE
        low, high, is_inside = narrow(middle / 2, middle * 2)
        if not is_inside:
            low = high = None
    if low is None or high is None:
        low, high = np.zeros(len(std_K)), _largest(training, coef_DK, intercept_K)
    for _ in range(_MAX_ROUNDS):
        if ((high - low <= rtol * high) | (high <= floor)).all():
            break
        low, high, _ = narrow(low, high)
    median: Vector = np.maximum((low + high) / 2, floor)
    return median / NORMAL_QUARTILE


def _narrow(
    training: Training,
    coef_DK: torch.Tensor,
    intercept_K: torch.Tensor,
    low: Vector,
    high: Vector,
) -> tuple[Vector, Vector, bool]:
    """Return the bounds of the bin that holds the median of |residual|, and whether it is between ``low`` and
    ``high`` at all, for every target. One pass.
    """
    num_targets = len(low)
    width = np.where(high > low, (high - low) / _BINS, 1.0)

    def count(rows: Rows) -> torch.Tensor:
        if rows.native:
            found, _ = native.count_residuals(rows, coef_DK, intercept_K, low, width, _BINS)
            return torch.from_numpy(found).reshape(-1)
        return _count(_residual(rows, coef_DK, intercept_K), rows.w_N, low, width)

    weight = training.sum_over(count, num_targets * (_BINS + 2))
    # Bin 0 holds values below `low`, the last one values above `high`.
    cumulated = weight.reshape(num_targets, _BINS + 2).cumsum(1).numpy()
    crossing = (cumulated >= cumulated[:, -1:] / 2).argmax(axis=1)
    inside = crossing.clip(1, _BINS)
    return low + (inside - 1) * width, low + inside * width, bool((inside == crossing).all())


def _largest(training: Training, coef_DK: torch.Tensor, intercept_K: torch.Tensor) -> Vector:
    """Return a number above every |residual|, per target."""
    largest = np.zeros(training.num_targets)

    def one(rows: Rows) -> torch.Tensor:
        if rows.native:
            zeros, ones = np.zeros_like(largest), np.ones_like(largest)
            found.append(native.count_residuals(rows, coef_DK, intercept_K, zeros, ones, 1)[1])
            return torch.zeros(0, dtype=torch.float64)
        size = _residual(rows, coef_DK, intercept_K).abs().amax(0) if len(rows.x_ND) else torch.zeros(0)
        found.append(size.cpu().numpy())
        return torch.zeros(0, dtype=torch.float64)

    found: list[Vector] = []
    training.sum_over(one, 0)
    for each in (size for sizes in training.worker.gather(found) for size in sizes if size.size):
        largest = np.maximum(largest, each)
    return largest * (1 + 1e-6)


def _residual(rows: Rows, coef_DK: torch.Tensor, intercept_K: torch.Tensor) -> torch.Tensor:
    dtype = rows.x_ND.dtype
    return torch.addmm(intercept_K.to(dtype), rows.x_ND, coef_DK.to(dtype)).sub_(rows.y_NK).double()


def _count(
    residual_NK: torch.Tensor,
    w_N: torch.Tensor | None,
    low: Vector,
    width: Vector,
) -> torch.Tensor:
    """Return the weight of the rows in each of ``_BINS`` bins from ``low`` on, and of those outside; flat."""
    counts = []
    for k in range(residual_NK.shape[1]):
        place = ((residual_NK[:, k].abs() - low[k]) / width[k]).floor_().clamp_(-1, _BINS).long() + 1
        weights = None if w_N is None else w_N.double()
        counts.append(torch.bincount(place, weights, minlength=_BINS + 2).double())
    return torch.cat(counts)
