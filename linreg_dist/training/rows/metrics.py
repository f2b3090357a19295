"""Metrics of a model on some rows: MSE, RMSE, MAE and R² from sums that add over blocks and workers.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from linreg_dist.documents import Metrics
from linreg_dist.training.rows import native
from linreg_dist.training.rows.sweep import SLICE_ELEMENTS, Rows, wide_slices


@dataclass
class ErrorSums:
    """Σw and, per target, Σw·e², Σw·|e|, Σw·y, Σw·y² (y less a constant near its mean), all float64."""

    values: torch.Tensor  # (1 + 4K,)

    @classmethod
    def zeros(cls, num_targets: int) -> ErrorSums:
        """Return the sums over no rows."""
        return cls(torch.zeros(1 + 4 * num_targets, dtype=torch.float64))

    @classmethod
    def of(
        cls, rows: Rows, coef_DK: torch.Tensor, intercept_K: torch.Tensor, center_K: torch.Tensor
    ) -> ErrorSums:
        """Sum over rows; ``coef_DK`` and ``intercept_K`` predict in the units of the rows."""
        if rows.native:
            return cls(native.error_sums(rows, coef_DK, intercept_K, center_K))
        width, targets = coef_DK.shape
        sums = torch.zeros(1 + 4 * targets, dtype=torch.float64, device=rows.x_ND.device)
        if rows.x_ND.device.type == "cpu":
            slices = wide_slices(rows)
        else:
            step, num_rows = max(64, SLICE_ELEMENTS // max(width, 1)), rows.x_ND.shape[0]
            slices = (rows.part(start, start + step) for start in range(0, num_rows, step))
        for part in slices:
            y, dtype = part.y_NK, part.x_ND.dtype
            error = torch.addmm(intercept_K.to(dtype), part.x_ND, coef_DK.to(dtype)).sub_(y)
            centred = y - center_K.to(dtype)
            w = torch.ones(y.shape[0], dtype=dtype, device=y.device) if part.w_N is None else part.w_N
            columns = torch.cat([error.square(), error.abs(), centred, centred.square()], dim=1)
            sums[0] += w.sum(dtype=torch.float64)
            sums[1:] += (w @ columns).double()
        return cls(sums.cpu())

    def merge(self, other: ErrorSums) -> None:
        """Add another part's sums to these."""
        self.values += other.values

    def metrics(self, targets: Iterable[str]) -> Metrics | None:
        """Return ``mse``, ``rmse``, ``mae``, ``r2``, or None for no rows.

        With several targets these are plain means over targets, as scikit-learn's ``uniform_average``, and
        ``per_target`` has each target's own. R² = 1 - Σw·e² / Σw·(y - ȳ)², ȳ the mean of these rows; None
        where y is constant.
        """
        weight, *rest = self.values.tolist()
        if weight <= 0.0:
            return None
        squared, absolute, total, total_squared = np.array(rest).reshape(4, -1)
        spread = total_squared - total**2 / weight
        each = {}
        for k, name in enumerate(targets):
            constant = spread[k] <= 1e-12 * max(total_squared[k], 1e-300)
            mse = float(squared[k] / weight)
            each[name] = Metrics(
                mse=mse,
                rmse=mse**0.5,
                mae=float(absolute[k] / weight),
                r2=None if constant else float(1.0 - squared[k] / spread[k]),
            )
        if len(each) == 1:
            return next(iter(each.values()))
        known = [item.r2 for item in each.values() if item.r2 is not None]
        return Metrics(
            mse=float(np.mean([item.mse for item in each.values()])),
            rmse=float(np.mean([item.rmse for item in each.values()])),
            mae=float(np.mean([item.mae for item in each.values()])),
            r2=float(np.mean(known)) if known else None,
            per_target=each,
        )
