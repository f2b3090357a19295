"""How good a model is on rows of which only the moments are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from linreg_dist.stats.moments import Moments

Array = npt.NDArray[np.float64]


def moment_metrics(moments: Moments, coef_KD: Array, intercept_K: Array) -> dict[str, Any] | None:
    """Return MSE, RMSE and R² of a model on the rows behind ``moments``; None for no rows.

    With v = (-β, 1) the residual y - xᵀβ - b has the sum of squares vᵀCv + Σw·(mean residual)². The mean
    absolute error is no function of the moments and stands as None.
    """
    if moments.sum_w <= 0.0:
        return None
    features = moments.num_features
    each = []
    cross, mean = moments.cross.cpu().numpy(), moments.mean.cpu().numpy()
    for k in range(moments.num_targets):
        index = [*range(features), features + k]
        v = np.append(-coef_KD[k], 1.0)
        residual_mean = mean[features + k] - mean[:features] @ coef_KD[k] - intercept_K[k]
        squared = float(v @ cross[np.ix_(index, index)] @ v) + moments.sum_w * residual_mean**2
        mse = float(max(squared, 0.0) / moments.sum_w)
        total = float(cross[features + k, features + k]) / moments.sum_w
        each.append(
            {"mse": mse, "rmse": mse**0.5, "mae": None, "r2": 1.0 - mse / total if total > 0.0 else None}
        )
    if len(each) == 1:
        return each[0]
    known = [item["r2"] for item in each if item["r2"] is not None]
    mean_mse = float(np.mean([item["mse"] for item in each]))
    return {
        "mse": mean_mse,
        "rmse": float(np.mean([item["rmse"] for item in each])),
        "mae": None,
        "r2": float(np.mean(known)) if known else None,
        "per_target": dict(zip(moments.target_names, each, strict=True)),
    }
