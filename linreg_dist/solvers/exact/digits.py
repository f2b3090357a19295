"""The last passes of the exact solver, for an ill-conditioned problem: double-double sums of the rows.

After them the answer is that of exact arithmetic on the rows as the files hold them, rounded once.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from linreg_dist.data.block import Shift
from linreg_dist.solvers.exact.shifts import in_files_units
from linreg_dist.stats.digits.double_double import Double, Floats
from linreg_dist.stats.digits.refinement import GradientSums, NormalSums, cholesky, solve_normal
from linreg_dist.stats.kernel import Array
from linreg_dist.stats.solve import Solution
from linreg_dist.training.reading.lanes import merge_lanes
from linreg_dist.training.training import Training

# Below this condition number float64 sums keep twelve digits.
_CONDITION = 100.0
# From here on a QR keeps fewer than eleven, and the digits are worth half a minute.
_BAD_CONDITION = 1e5
# Products of pairs of columns, over all rows. A core sums some ten million of them in a second.
_FEW_PAIRS, _MOST_PAIRS = 1 << 22, 1 << 28

_MOST_CORRECTIONS = 4
_SETTLED = 2.0**-55  # of a coefficient: nothing that a float64 would show


def is_worth_refining(solution: Solution) -> bool:
    """Return whether a solution may lack digits that double-double sums would give, at a bearable price.

    It depends on the problem and its size alone, never on the workers.
    """
    condition, columns = solution.condition_number, solution.columns
    if solution.singular or solution.l1 or not math.isfinite(condition) or condition <= _CONDITION:
        return False
    width = len(columns.active) + 1
    pairs = columns.n * (width * (width + 1) // 2 + width * len(columns.target_names))
    return pairs <= (_MOST_PAIRS if condition > _BAD_CONDITION else _FEW_PAIRS)


def refine(training: Training, solution: Solution) -> tuple[Solution, int]:
    """Solve again in double-double arithmetic, and correct by the rows' own residuals until nothing changes.

    Returns:
        The solution, unchanged where its columns are dependent even to these digits; and the passes over the
        rows that it took.

    """
    columns = solution.columns
    has_ones, num_targets = columns.fit_intercept, len(columns.target_names)
    width = len(columns.active) + has_ones
    shift = training.data.shift

    def normal_of(index: int) -> NormalSums:
        part = NormalSums.empty(width, num_targets, has_ones=has_ones)
        part.accumulate(*_rows(training, index, solution))
        return part

    def no_rows() -> NormalSums:
        return NormalSums.empty(width, num_targets, has_ones=has_ones)

    sums = merge_lanes(training.pass_over(normal_of, no_rows, "solve"), no_rows()).sums
    penalty_Q = _penalty(solution)
    r = cholesky(sums[:, :width], penalty_Q)
    if r is None:
        return solution, 1
    beta = solve_normal(r, sums[:, width:])
    change, passes = math.inf, 1
    while True:
        at = _gradient(training, solution, beta)
        passes += 1
        gradient = at.gradient - Double(beta.hi * penalty_Q[:, None], beta.lo * penalty_Q[:, None])
        step = solve_normal(r, gradient)
        beta = beta + step
        before, change = change, _relative_change(step.hi, beta.hi)
        if change <= _SETTLED:
            return _as_solution(solution, beta, at, gradient, sums, shift), passes
        if passes > _MOST_CORRECTIONS or change > before / 2:
            return solution, passes


def _rows(training: Training, index: int, solution: Solution) -> tuple[Array, Array, Array | None]:
    """Return the training rows of a row group: their usable features, targets and weights."""
    rows = training.data.store.load(index).train
    x_ND, y_NK = rows.x_ND, rows.y_NK
    if not solution.columns.fit_intercept:  # nothing takes up a shift
        x_ND, y_NK = in_files_units(x_ND, y_NK, training.data.shift)
    return x_ND[:, solution.columns.active], y_NK, rows.w_N


def _gradient(training: Training, solution: Solution, beta: Double) -> GradientSums:
    def no_rows() -> GradientSums:
        return GradientSums.empty(beta, has_ones=solution.columns.fit_intercept)

    def gradient_of(index: int) -> GradientSums:
        part = no_rows()
        part.accumulate(*_rows(training, index, solution))
        return part

    return merge_lanes(training.pass_over(gradient_of, no_rows, "solve"), no_rows())


def _penalty(solution: Solution) -> Floats:
    """Return what the penalty adds to the diagonal of the normal equations, (Q,)."""
    columns = solution.columns
    norm_A = columns.std[columns.active] if solution.standardize else np.ones(len(columns.active))
    penalty_A = solution.l2 * columns.sum_w * norm_A**2
    return np.concatenate([np.zeros(int(columns.fit_intercept)), penalty_A])


def _relative_change(step_QK: Floats, beta_QK: Floats) -> float:
    """Return the largest change of a coefficient relative to it; one that is 0 and stays 0 does not count."""
    changed = np.abs(step_QK)
    return float((changed[changed > 0] / np.abs(beta_QK)[changed > 0]).max(initial=0.0))


def _as_solution(
    solution: Solution, beta: Double, at: GradientSums, gradient: Double, sums: Double, shift: Shift
) -> Solution:
    columns = solution.columns
    ones = int(columns.fit_intercept)
    coef_KP = np.zeros_like(solution.coef)
    coef_KP[:, columns.active] = beta.hi[ones:].T
    intercept_K = np.zeros_like(solution.intercept)
    if ones:
        features = beta[ones:]
        at_shift = features.times(shift.x_D[columns.active][:, None]).sum()
        intercept_K = (beta[0] + Double.of(shift.y_K) - at_shift).hi
    # A gradient is small against the products whose difference it is: |z|·|y|.
    size_Q = np.sqrt(np.abs(sums.hi[np.arange(len(beta.hi)), np.arange(len(beta.hi))]))
    size_QK = size_Q[:, None] * np.sqrt(np.maximum(columns.total_sum, np.finfo(np.float64).tiny))
    return replace(
        solution,
        coef=coef_KP,
        intercept=intercept_K,
        method="double_double",
        relative_gradient=(np.abs(gradient.hi) / size_QK).max(axis=0),
        residual_sum=np.where(columns.total_sum > 0, np.maximum(at.residual.hi, 0.0), 0.0),
        tsqr_reason=None,
    )
