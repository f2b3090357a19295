"""How good a model is on some rows: MSE, RMSE, MAE and R² from sums that add over blocks and workers.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from linreg_dist.documents import Metrics
from linreg_dist.training.sweep import SLICE_ELEMENTS, Rows


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
        width, targets = coef_DK.shape
        sums = torch.zeros(1 + 4 * targets, dtype=torch.float64, device=rows.x_ND.device)
        coef, intercept = coef_DK.to(rows.x_ND.dtype), intercept_K.to(rows.x_ND.dtype)
        center = center_K.to(rows.x_ND.dtype)
        step = max(64, SLICE_ELEMENTS // max(width, 1))
        for start in range(0, rows.x_ND.shape[0], step):
            y = rows.y_NK[start : start + step]
            error = torch.addmm(intercept, rows.x_ND[start : start + step], coef).sub_(y)
            centred = y - center
            w = (
                torch.ones(y.shape[0], dtype=y.dtype, device=y.device)
                if rows.w_N is None
                else rows.w_N[start : start + step]
            )
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
