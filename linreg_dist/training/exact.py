"""The exact solver: every worker solves from the same sums, with a second pass where they are not enough."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import torch

from linreg_dist.documents import PenaltyDocument, SplitMetrics
from linreg_dist.spec import JobSpec
from linreg_dist.stats.inference import Refusal, refusal
from linreg_dist.stats.moments import Moments
from linreg_dist.stats.penalised import Penalty, solve_penalised
from linreg_dist.stats.robust import robust_tests
from linreg_dist.stats.solve import Solution, solve
from linreg_dist.stats.tsqr import RFactor, merged_factors
from linreg_dist.training.fit import Fit
from linreg_dist.training.inference import (
    NO_ROWS,
    RobustTests,
    covariance_of,
    found_tests,
    inference_document,
)
from linreg_dist.training.job import TrainJob
from linreg_dist.training.lanes import collect_by_lane
from linreg_dist.training.moment_metrics import moment_metrics
from linreg_dist.training.moment_sums import ExactSums
from linreg_dist.training.penalised import PenaltyChoice, choose_penalty
from linreg_dist.training.prepare import OpenData
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.robust import gather_meat
from linreg_dist.training.worker import Worker


def fit_exactly(
    worker: Worker, job: TrainJob, data: OpenData, sums: ExactSums, log: MetricsLog, read_s: float
) -> Fit:
    """Solve, with further passes for digits that the sums have lost and for robust standard errors; the same
    on every worker.

    A run that adds to earlier statistics reads none of the earlier rows, so it makes no second pass and says
    what it lacks.
    """
    started = time.perf_counter()
    spec, may_read = job.spec, job.update_from is None
    choice = choose_penalty(spec.model, spec.tune, sums.folds, standardize=job.standardize)
    solution = solve_sums(spec, sums, choice.penalty, standardize=job.standardize)
    passes, reason = 1, solution.tsqr_reason
    if reason is not None and may_read:
        factor = _gather_factor(worker, job, data, sums.train, log)
        solution = _solve_smooth(spec, factor, choice.penalty.l2, standardize=job.standardize)
        passes += 1
    tests: RobustTests | None = None
    kind = spec.model.covariance
    if kind != "nonrobust" and refusal(solution, spec.data.weight_type) is None:
        tests = Refusal(NO_ROWS.format(kind=kind))
        if may_read:
            tests = robust_tests(solution, gather_meat(worker, job, data, solution, kind, log), kind)
            passes += 1
    elapsed = time.perf_counter() - started
    read = sum(counts.train for counts in sums.groups.values())
    return fit_of(
        spec,
        solution,
        choice,
        tests,
        passes=passes,
        rows_per_s=read / (read_s + elapsed),
        train_s=elapsed,
        qr_reason=reason if may_read else None,
    )


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
        stopped="solved exactly" if qr_reason is None else f"solved exactly by QR: {qr_reason}",
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


def metrics_of(sums: ExactSums, fit: Fit, mae_reason: str) -> SplitMetrics:
    """Return the metrics of both splits that moments can give, and why there is no mean absolute error."""
    return SplitMetrics(
        train=moment_metrics(sums.train, fit.coef_KD, fit.intercept_K, mae_reason),
        validation=moment_metrics(sums.validation, fit.coef_KD, fit.intercept_K, mae_reason),
    )


def _solve_smooth(spec: JobSpec, factor: RFactor, l2: float, *, standardize: bool) -> Solution:
    return solve(factor, l2=l2, fit_intercept=spec.model.fit_intercept, standardize=standardize)


def _gather_factor(
    worker: Worker, job: TrainJob, data: OpenData, moments: Moments, log: MetricsLog
) -> RFactor:
    """Combine the QR factors of all training rows of all workers, in the units of the files."""
    shift = torch.from_numpy(np.concatenate([data.shift.x_D, data.shift.y_K]))
    like = replace(moments, shift=moments.shift - shift)

    def factor_one(index: int) -> RFactor:
        block = data.store.load(index)
        part = RFactor.empty(like)
        w_N = None if block.w_N is None else block.w_N[: block.num_train]
        part.accumulate(block.x_ND[: block.num_train], block.y_NK[: block.num_train], w_N)
        return part

    def empty() -> RFactor:
        return RFactor.empty(like)

    lanes = collect_by_lane(worker, job, lambda order: data.store.map(factor_one, order), empty, log, "solve")
    factor = merged_factors(lanes)
    factor.shift = factor.shift + shift
    return factor


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
