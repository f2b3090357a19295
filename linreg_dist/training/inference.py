"""The statistician's half of an exact fit, as plain numbers to keep beside the model."""

from __future__ import annotations

import math
from typing import Any

from linreg_dist.stats.inference import (
    INTERCEPT,
    CoefficientTests,
    FitStatistics,
    Refusal,
    WeightType,
    fit_statistics,
    infer,
)
from linreg_dist.stats.solve import Solution


def inference_document(solution: Solution, weight_type: WeightType) -> dict[str, Any]:
    """Return tests and fit statistics per target, JSON types only.

    Returns:
        ``{"reason": None or why there are no tests, "targets": {name: {"tests": {feature: {"std_err", "t",
        "p", "ci_low", "ci_high"}}, "fit": {…}}}}``; the intercept's tests stand under ``(intercept)``.
    """
    found = infer(solution, weight_type=weight_type)
    tests: tuple[CoefficientTests | None, ...]
    if isinstance(found, Refusal):
        reason, tests = found.reason, (None,) * len(solution.columns.target_names)
    else:
        reason, tests = None, found
    targets = {
        fit.target: {"tests": {} if test is None else _tests(test), "fit": _fit(fit)}
        for fit, test in zip(fit_statistics(solution, weight_type), tests, strict=True)
    }
    return {"reason": reason, "covariance": "nonrobust", "targets": targets}


def _tests(test: CoefficientTests) -> dict[str, dict[str, float | None]]:
    columns = zip(test.names, test.std_err, test.statistic, test.p, test.ci_low, test.ci_high, strict=True)
    return {
        name: {
            key: _finite(value)
            for key, value in zip(("std_err", "t", "p", "ci_low", "ci_high"), values, strict=True)
        }
        for name, *values in columns
    }


def _fit(fit: FitStatistics) -> dict[str, float | None]:
    keys = ("r2", "adj_r2", "sigma", "f", "f_p", "aic", "bic", "log_likelihood", "n", "df_model", "df_resid")
    return {key: _finite(getattr(fit, key)) for key in (*keys, "condition_number")}


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


__all__ = ["INTERCEPT", "inference_document"]
