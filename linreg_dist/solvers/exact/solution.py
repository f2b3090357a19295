"""The exact solver's arithmetic: a `Fit` from sums, without rows."""

from __future__ import annotations

import numpy as np

from linreg_dist.documents import PenaltyDocument, SplitMetrics
from linreg_dist.jobspec import JobSpec
from linreg_dist.solvers.exact.inference import (
    RobustTests,
    covariance_of,
    found_tests,
    inference_document,
)
from linreg_dist.solvers.exact.moment_metrics import moment_metrics
from linreg_dist.solvers.exact.penalty import PenaltyChoice
from linreg_dist.solvers.exact.sums.moment_sums import ExactSums
from linreg_dist.stats.penalised import Penalty, solve_penalised
from linreg_dist.stats.solve import Solution
from linreg_dist.training.fit import Fit


def solve_sums(spec: JobSpec, sums: ExactSums, penalty: Penalty, *, standardize: bool) -> Solution:
    """Return the solution that the moments alone give."""
    return solve_penalised(
        sums.train, penalty, fit_intercept=spec.model.fit_intercept, standardize=standardize
    )


def fit_of(
    spec: JobSpec,
    solution: Solution,
    choice: PenaltyChoice,
    tests: RobustTests | None,
    *,
    passes: int,
    rows_per_s: float,
    train_s: float,
    qr_reason: str | None = None,
) -> Fit:
    """Return a solution in the form in which every solver ends.

    Args:
        spec: the job's.
        solution, choice: how it was solved, and with which penalty.
        tests: robust tests of the coefficients or why there are none; None for the classical ones.
        passes, rows_per_s, train_s: what it took.
        qr_reason: why a QR pass was made, if one was.

    """
    found = found_tests(solution, spec.data.weight_type, tests)
    return Fit(
        solution.coef,
        solution.intercept,
        epochs=passes,
        stopped=_how_it_ended(solution, qr_reason),
        choices={
            "method": solution.method,
            "standardize": solution.standardize,
            "condition_number": _finite(solution.condition_number),
            "relative_gradient": float(np.max(solution.relative_gradient)),
            "rank": solution.rank,
            "constant_columns": list(solution.constant),
            "collinear_columns": {name: list(others) for name, others in solution.collinear.items()},
            "accuracy": solution.tsqr_reason,
        },
        rows_per_s=rows_per_s,
        train_s=train_s,
        penalty=PenaltyDocument(l1=choice.penalty.l1, l2=choice.penalty.l2),
        inference=inference_document(
            solution, spec.data.weight_type, spec.model.covariance, found, is_robust=tests is not None
        ),
        tune=choice.curve,
        covariance=covariance_of(found, solution.residual_sum),
    )


def _how_it_ended(solution: Solution, qr_reason: str | None) -> str:
    if solution.method == "double_double":
        return (
            "solved exactly in double-double arithmetic: a condition number of "
            f"{solution.condition_number:.3g} costs float64 digits"
        )
    return "solved exactly" if qr_reason is None else f"solved exactly by QR: {qr_reason}"


def metrics_of(sums: ExactSums, fit: Fit, mae_reason: str) -> SplitMetrics:
    """Return the metrics of both splits that moments can give, and why there is no mean absolute error."""
    return SplitMetrics(
        train=moment_metrics(sums.train, fit.coef_KD, fit.intercept_K, mae_reason),
        validation=moment_metrics(sums.validation, fit.coef_KD, fit.intercept_K, mae_reason),
    )


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
