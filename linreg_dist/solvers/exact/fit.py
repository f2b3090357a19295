"""`fit_exactly`: every worker solves from the same sums, with a second pass where they are not enough."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

import numpy as np

from linreg_dist.data.block import Shift
from linreg_dist.documents import EpochLine, SplitMetrics
from linreg_dist.solvers.exact.device import settle_sums
from linreg_dist.solvers.exact.digits import is_worth_refining, refine
from linreg_dist.solvers.exact.inference import NO_ROWS, RobustTests
from linreg_dist.solvers.exact.moment_metrics import NOT_KEPT, NOT_READ
from linreg_dist.solvers.exact.penalty import choose_penalty
from linreg_dist.solvers.exact.robust_pass import gather_meat
from linreg_dist.solvers.exact.solution import fit_of, metrics_of, solve_sums
from linreg_dist.solvers.exact.statistics import add_earlier, artefact_of, save_statistics, sums_of
from linreg_dist.solvers.exact.sums.moment_sums import ExactSums, check_sums, gather_moments
from linreg_dist.stats.inference import Refusal, refusal
from linreg_dist.stats.kernel import Floats
from linreg_dist.stats.moments import Moments
from linreg_dist.stats.penalised import Penalty
from linreg_dist.stats.robust import robust_tests
from linreg_dist.stats.solve import Solution, solve
from linreg_dist.stats.tsqr import RFactor, merged_factors
from linreg_dist.storage import final_patience
from linreg_dist.training.evaluate import Evaluator
from linreg_dist.training.fit import Fit
from linreg_dist.training.training import Training


def fit_exactly(training: Training) -> Fit:
    """Sum, keep the sums, and solve; the same on every worker.

    Raises:
        DataError: on every worker alike: see `check_sums` and `add_earlier`.
        RunFailedError: the statistics have no room, or coordinate descent did not converge.

    """
    training, device = settle_sums(training)
    worker, job = training.worker, training.job
    sums = gather_moments(training)
    artefact = add_earlier(worker, job, artefact_of(job, training.data, sums), sums.removed)
    sums = replace(sums_of(artefact, sums.groups), removed=sums.removed)
    check_sums(job, sums)
    # Others wait for rank 0 no longer than a collective takes to time out.
    patience = final_patience if worker.world_size == 1 else contextlib.nullcontext
    with patience():
        worker.together(lambda: save_statistics(artefact, job) if worker.rank == 0 else None)
    read_s = time.perf_counter() - training.started
    fit = _solve(training, sums, read_s)
    if worker.rank == 0:  # by file: it can be a hundred times as large as all else that a worker returns
        with patience():
            job.pending_covariance.unlink(missing_ok=True)
            if fit.covariance is not None:
                fit.covariance.save(job.pending_covariance)
    metrics = _metrics(training, sums, fit)
    # The rows that this run read, which may be few of those that the sums stand for.
    rows = sums.rows_read
    training.log.line(
        EpochLine.of(
            0,
            rows=rows,
            rows_per_s=rows / read_s,
            seconds=read_s,
            train_mse=metrics.train.mse if metrics.train else None,
            validation=metrics.validation,
        )
    )
    choices = {**fit.choices, **device}
    return replace(fit, totals=sums.totals(), metrics=metrics, read_s=read_s, choices=choices)


def _solve(training: Training, sums: ExactSums, read_s: float) -> Fit:
    """Solve, with further passes for digits that the sums have lost and for robust standard errors.

    A run that adds to earlier statistics reads none of the earlier rows, so it makes no second pass and says
    what it lacks.
    """
    started = time.perf_counter()
    job, spec = training.job, training.job.spec
    may_read = job.update_from is None
    choice = choose_penalty(spec.model, spec.tune, sums.folds, standardize=job.standardize)
    solution = solve_sums(spec, sums, choice.penalty, standardize=job.standardize)
    passes, reason = 1, solution.tsqr_reason
    if reason is not None and may_read:
        solution = _solve_smooth(training, sums.train, choice.penalty)
        passes += 1
    if may_read and is_worth_refining(solution):
        solution, more = refine(training, solution)
        passes += more
    tests: RobustTests | None = None
    kind = spec.model.covariance
    if kind != "nonrobust" and refusal(solution, spec.data.weight_type) is None:
        tests = Refusal(NO_ROWS.format(kind=kind))
        if may_read:
            tests = robust_tests(solution, gather_meat(training, solution, kind), kind)
            passes += 1
    elapsed = time.perf_counter() - started
    read = sums.rows_read
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


def _metrics(training: Training, sums: ExactSums, fit: Fit) -> SplitMetrics:
    """Return the metrics of both splits, with the mean absolute error where that takes no decoding.

    It is no function of the moments, and of an earlier run's rows it is not known.
    """
    is_update, shift = training.job.update_from is not None, training.data.shift
    evaluator = Evaluator(training, sums.counts.validation, sums.target_mean(shift))
    if not is_update and evaluator.is_cheap:
        return evaluator.final(*fit.in_blocks(shift))
    return metrics_of(sums, fit, NOT_READ if is_update else NOT_KEPT)


def _solve_smooth(training: Training, moments: Moments, penalty: Penalty) -> Solution:
    factor, job = _gather_factor(training, moments), training.job
    return solve(
        factor, l2=penalty.l2, fit_intercept=job.spec.model.fit_intercept, standardize=job.standardize
    )


def _gather_factor(training: Training, moments: Moments) -> RFactor:
    """Combine the QR factors of all training rows of all workers, in the units of the files."""
    shift = _in_one(training.data.shift)
    like = replace(moments, shift=moments.shift - shift)

    def factor_one(index: int) -> RFactor:
        rows = training.data.store.load(index).train
        part = RFactor.empty(like)
        part.accumulate(rows.x_ND, rows.y_NK, rows.w_N)
        return part

    factor = merged_factors(training.pass_over(factor_one, lambda: RFactor.empty(like), "solve"))
    factor.shift = factor.shift + shift
    return factor


def _in_one(shift: Shift) -> Floats:
    return np.concatenate([shift.x_D, shift.y_K])
