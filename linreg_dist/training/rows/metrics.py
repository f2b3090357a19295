"""Metrics of a model on some rows: MSE, RMSE, MAE and R² from sums that add over blocks and workers.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Block
from linreg_dist.documents import Metrics

Floats = npt.NDArray[np.float64]

_SLICE_ELEMENTS = 1 << 17  # 1 MiB of float64: between its uses a slice stays in the core's cache


@dataclass
class ErrorSums:
    """Σw and per target, Σw·e², Σw·|e|, Σw·y, Σw·y² (y less a constant near its mean), all float64."""

    values: Floats  # (1 + 4K,)

    @classmethod
    def zeros(cls, num_targets: int) -> ErrorSums:
        """Return the sums over no rows."""
        return cls(np.zeros(1 + 4 * num_targets))

    @classmethod
    def of(cls, rows: Block, coef_DK: Floats, intercept_K: Floats, center_K: Floats) -> ErrorSums:
        """Sum over all rows of a block; ``coef_DK`` and ``intercept_K`` predict in its units."""
        width, targets = coef_DK.shape
        sums = np.zeros(1 + 4 * targets)
        if rows.native and rows.num_rows:
            from linreg_dist.kernels.metrics import error_sums

            dtype = rows.x_ND.dtype
            coef_KD = np.ascontiguousarray(coef_DK.T, dtype=dtype)
            error_sums(rows.addresses, coef_KD, intercept_K.astype(dtype), center_K.astype(dtype), sums)
            return cls(sums)
        step = max(64, _SLICE_ELEMENTS // max(width, 1))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, rows.num_rows, step):
                part = rows.part(slice(start, start + step))
                y_KN = part.y_NK.T.astype(np.float64)
                error_KN = coef_DK.T @ part.x_ND.T.astype(np.float64)
                error_KN += intercept_K[:, None] - y_KN
                centred_KN = y_KN - center_K[:, None]
                w_N = np.ones(part.num_rows) if part.w_N is None else part.w_N.astype(np.float64)
                terms = [np.square(error_KN), np.abs(error_KN), centred_KN, np.square(centred_KN)]
                sums[0] += w_N.sum()
                sums[1:] += np.einsum("kn,n->k", np.concatenate(terms), w_N)
        return cls(sums)

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
