"""The statistician's half of an exact fit, as plain numbers to keep beside the model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from linreg_dist.documents import CoefficientInference, Inference, TargetInference
from linreg_dist.model.covariance import CoefficientCovariance
from linreg_dist.stats.inference import (
    CoefficientTests,
    FitStatistics,
    Refusal,
    WeightType,
    fit_statistics,
    infer,
    variance_inflation,
)
from linreg_dist.stats.solve import Solution
from linreg_dist.stats.systems import Array

RobustTests = tuple[CoefficientTests, ...] | Refusal

NO_ROWS = (
    "{kind} standard errors need a second pass over all rows, and only their statistics are at hand: train "
    "again without --update, or set model.covariance to nonrobust"
)

_KEYS = ("std_err", "t", "p", "ci_low", "ci_high")


def found_tests(solution: Solution, weight_type: WeightType, robust: RobustTests | None) -> RobustTests:
    """Return the tests that were asked for: the robust ones, or with None the classical ones."""
    return infer(solution, weight_type=weight_type) if robust is None else robust


def covariance_of(found: RobustTests, residual_K: Array) -> CoefficientCovariance | None:
    """Return the covariance of the coefficients behind tests, None where there are none.

    Args:
        found: the tests.
        residual_K: Σ w e² of the targets, which classical covariances are proportional to.

    """
    if isinstance(found, Refusal):
        return None
    first = found[0]
    names, targets = first.names, tuple(test.target for test in found)
    if first.cov_type != "nonrobust":
        matrix_KQQ = np.stack([test.covariance for test in found])
        return CoefficientCovariance(names, targets, first.cov_type, matrix_KQQ, np.ones(len(found)))
    largest = int(np.argmax(residual_K))
    unit = residual_K[largest] if residual_K[largest] > 0 else 1.0
    matrix_MQQ = found[largest].covariance[None]
    return CoefficientCovariance(names, targets, first.cov_type, matrix_MQQ, residual_K / unit)


def inference_document(
    solution: Solution,
    weight_type: WeightType,
    covariance: str,
    found: RobustTests,
    *,
    is_robust: bool,
) -> Inference:
    """Return tests and fit statistics per target.

    Args:
        solution: the fit.
        weight_type: what weights mean.
        covariance: the kind of standard errors that was asked for.
        found: the tests, or why there are none.
        is_robust: whether they are under a robust covariance.
    """
    tests: Sequence[CoefficientTests | None]
    if isinstance(found, Refusal):
        reason, tests = found.reason, (None,) * len(solution.columns.target_names)
    else:
        reason, tests = None, found
    inflation = variance_inflation(solution)
    vif = (
        {}
        if isinstance(inflation, Refusal)
        else dict(zip(solution.columns.feature_names, inflation.tolist(), strict=True))
    )
    targets = {
        fit.target: TargetInference(
            tests={} if test is None else _tests(test, vif), fit=_fit(fit, test if is_robust else None)
        )
        for fit, test in zip(fit_statistics(solution, weight_type), tests, strict=True)
    }
    first = tests[0]
    return Inference(
        reason=reason,
        covariance=covariance,
        df=None if first is None else _finite(first.df),
        targets=targets,
    )


def _tests(test: CoefficientTests, vif: Mapping[str, float]) -> dict[str, CoefficientInference]:
    columns = zip(test.names, test.std_err, test.statistic, test.p, test.ci_low, test.ci_high, strict=True)
    return {
        name: CoefficientInference(
            **{key: _finite(value) for key, value in zip(_KEYS, values, strict=True)},
            vif=_finite(vif.get(name)),
        )
        for name, *values in columns
    }


def _fit(fit: FitStatistics, robust: CoefficientTests | None) -> dict[str, float | None]:
    """Return the fit statistics; F is the robust covariance's where there is one, as in statsmodels."""
    keys = ("r2", "adj_r2", "sigma", "f", "f_p", "aic", "bic", "log_likelihood", "n", "df_model", "df_resid")
    document = {key: _finite(getattr(fit, key)) for key in (*keys, "condition_number")}
    if robust is not None:
        document |= {"f": _finite(robust.wald_f), "f_p": _finite(robust.wald_f_p)}
    return document


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)
