"""Metrics of a model on rows of which only the moments are known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linreg_dist.documents import Metrics
from linreg_dist.stats.crossval import mean_squared_error
from linreg_dist.stats.moments import Moments

Array = npt.NDArray[np.float64]


NOT_READ = "the mean absolute error is no function of the statistics, and no row was read again"
NOT_KEPT = (
    "the mean absolute error takes a second look at the rows, which were not kept in memory: "
    "linreg-dist evaluate gives it, or a larger scaling.memory_budget"
)


def moment_metrics(moments: Moments, coef_KD: Array, intercept_K: Array, mae_reason: str) -> Metrics | None:
    """Return MSE, RMSE and R² of a model on the rows behind ``moments``; None for no rows.

    The mean absolute error is no function of the moments: ``mae`` is None, and ``mae_reason`` says why.
    """
    if moments.sum_w <= 0.0:
        return None
    variance = moments.cross.diagonal()[moments.num_features :] / moments.sum_w
    mse_K = mean_squared_error(moments, coef_KD[None], intercept_K[None])[0]
    each = [
        Metrics(
            mse=mse,
            rmse=mse**0.5,
            mae=None,
            mae_reason=mae_reason,
            r2=1.0 - mse / total if total > 0.0 else None,
        )
        for mse, total in zip(mse_K.tolist(), variance.tolist(), strict=True)
    ]
    if len(each) == 1:
        return each[0]
    known = [item.r2 for item in each if item.r2 is not None]
    return Metrics(
        mse=float(np.mean([item.mse for item in each])),
        rmse=float(np.mean([item.rmse for item in each])),
        mae=None,
        mae_reason=mae_reason,
        r2=float(np.mean(known)) if known else None,
        per_target=dict(zip(moments.target_names, each, strict=True)),
    )
