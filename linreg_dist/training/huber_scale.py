"""The scale of residuals that Huber's ε is measured in: the median absolute residual, over 0.6745.

0.6745 is the third quartile of the standard normal distribution, so for normal residuals it is their standard
deviation, and up to half of the rows may lie anywhere without moving it far (Huber and Ronchetti, Robust
Statistics, 2nd ed., section 5.1; statsmodels' `RLM` has the same, ``scale_est="mad"`` about zero).

The median is found by counting into ever finer bins, a pass over the kept blocks for each: no sorting, no
gathering of rows.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.training.full_pass import sum_over_rows
from linreg_dist.training.job import TrainJob
from linreg_dist.training.prepare import OpenData
from linreg_dist.training.sweep import Rows
from linreg_dist.training.worker import Worker

NORMAL_QUARTILE = 0.6744897501960817
_BINS = 4096
_RELATIVE_WIDTH = 1e-8
_MAX_ROUNDS = 8


def residual_scale(
    worker: Worker, job: TrainJob, data: OpenData, coef_DK: torch.Tensor, intercept_K: torch.Tensor
) -> npt.NDArray[np.float64]:
    """Return the weighted median of |residual| / 0.6745 per target, (K,), in the units of the target.

    Args:
        worker, job, data: as in training. Every worker must call it.
        coef_DK, intercept_K: the model, in block units, on this worker's device.

    """
    num_targets = len(job.columns.targets)
    low, high = np.zeros(num_targets), _largest(worker, job, data, coef_DK, intercept_K)
    for _ in range(_MAX_ROUNDS):
        if (high - low <= _RELATIVE_WIDTH * high).all():
            break
        width = np.where(high > low, (high - low) / _BINS, 1.0)

        def count(
            rows: Rows, low: npt.NDArray[np.float64] = low, width: npt.NDArray[np.float64] = width
        ) -> torch.Tensor:
            return _count(_residual(rows, coef_DK, intercept_K), rows.w_N, low, width)

        weight = sum_over_rows(worker, job, data, count, num_targets * (_BINS + 2))
        # Bin 0 holds what lies below `low`, the last what lies above `high`.
        cumulated = weight.reshape(num_targets, _BINS + 2).cumsum(1).numpy()
        crossing = (cumulated >= cumulated[:, -1:] / 2).argmax(axis=1).clip(1, _BINS) - 1
        low, high = low + crossing * width, low + (crossing + 1) * width
    middle: npt.NDArray[np.float64] = (low + high) / 2 / NORMAL_QUARTILE
    return middle


def _largest(
    worker: Worker, job: TrainJob, data: OpenData, coef_DK: torch.Tensor, intercept_K: torch.Tensor
) -> npt.NDArray[np.float64]:
    """Return a number above every |residual|, per target."""
    largest = np.zeros(len(job.columns.targets))

    def one(rows: Rows) -> torch.Tensor:
        size = _residual(rows, coef_DK, intercept_K).abs().amax(0) if len(rows.x_ND) else torch.zeros(0)
        found.append(size.cpu().numpy())
        return torch.zeros(0, dtype=torch.float64)

    found: list[npt.NDArray[np.float64]] = []
    sum_over_rows(worker, job, data, one, 0)
    for each in (size for sizes in worker.gather(found) for size in sizes if size.size):
        largest = np.maximum(largest, each)
    return largest * (1 + 1e-6)


def _residual(rows: Rows, coef_DK: torch.Tensor, intercept_K: torch.Tensor) -> torch.Tensor:
    dtype = rows.x_ND.dtype
    return torch.addmm(intercept_K.to(dtype), rows.x_ND, coef_DK.to(dtype)).sub_(rows.y_NK).double()


def _count(
    residual_NK: torch.Tensor,
    w_N: torch.Tensor | None,
    low: npt.NDArray[np.float64],
    width: npt.NDArray[np.float64],
) -> torch.Tensor:
    """Return the weight of the rows in each of ``_BINS`` bins from ``low`` on, and of those outside; flat."""
    counts = []
    for k in range(residual_NK.shape[1]):
        place = ((residual_NK[:, k].abs() - low[k]) / width[k]).floor_().clamp_(-1, _BINS).long() + 1
        weights = None if w_N is None else w_N.double()
        counts.append(torch.bincount(place, weights, minlength=_BINS + 2).double())
    return torch.cat(counts)
