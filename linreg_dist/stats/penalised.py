"""Ridge, lasso and elastic net from a Gram matrix, and whole paths of them for little more than one fit.

Objective, in the equilibrated coordinates γ of `systems`, with G = the Gram matrix and c = X'Wy, both over
Σw ::

    ½ γ'Gγ - c'γ + Σ_j l1_j |γ_j| + ½ Σ_j l2_j γ_j²

Here l1_j = l1·norm_j and l2_j = l2·norm_j², where norm_j is 1/scale_j, or std_j/scale_j when the penalty
acts on the standardised scale. scikit-learn's ElasticNet(alpha, l1_ratio) is l1 = alpha·l1_ratio and l2 =
alpha·(1 - l1_ratio).

Ridge: one eigendecomposition serves every l2. With an l1 part: see `lasso`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from linreg_dist.errors import SpecError
from linreg_dist.stats.lasso import LassoProblem, minimise, relative_violation
from linreg_dist.stats.moments import Moments
from linreg_dist.stats.solve import Solution, back_substitute, solve, unscale
from linreg_dist.stats.systems import Array, Columns, GramSystem, gram_system

# An eigendecomposition is accurate to ε times the largest eigenvalue: where column scales differ by more than
# this, small columns would suffer, and each l2 gets its own equilibrated factorisation.
_MAX_SCALE_RATIO = 100.0

# glmnet and scikit-learn start a ridge path where an elastic net of this l1_ratio would leave zero.
_SMALLEST_L1_RATIO = 1e-3


@dataclass(frozen=True, order=True)
class Penalty:
    """One point of a path: l1·‖β‖₁ + (l2/2)·‖β‖²; SpecError unless both are finite and not negative."""

    l1: float
    l2: float

    def __post_init__(self) -> None:
        if not (0 <= self.l1 < math.inf and 0 <= self.l2 < math.inf):
            raise SpecError(
                f"penalties must be finite numbers that are not negative, got l1={self.l1}, l2={self.l2}"
            )


@dataclass(frozen=True)
class Path:
    """Coefficients on the original scale for L penalties.

    Attributes:
        columns: names, row counts, means and scales of the problem.
        penalties: in the order asked for.
        coef: (L, K, P).
        intercept: (L, K).

    """

    columns: Columns
    penalties: tuple[Penalty, ...]
    coef: Array
    intercept: Array


def penalty_grid(
    moments: Moments,
    *,
    l1_ratio: float,
    num: int = 100,
    smallest: float = 1e-3,
    fit_intercept: bool = True,
    standardize: bool = True,
) -> tuple[Penalty, ...]:
    """Return ``num`` penalties, geometrically spaced, from the least that leaves every coefficient zero.

    Args:
        moments: the statistics.
        l1_ratio: l1 / (l1 + l2), from 0 (ridge) to 1 (lasso). For less than 0.001 the path starts as for
            0.001.
        num: how many.
        smallest: the last penalty over the first.
        fit_intercept, standardize: as in `solve`.

    Raises:
        SpecError: ``l1_ratio``, ``num`` or ``smallest`` is outside its range.
        DataError: no rows, no weight or no features.

    """
    if not (0 <= l1_ratio <= 1 and num >= 1 and 0 < smallest < 1):
        raise SpecError(
            "a penalty grid needs l1_ratio from 0 to 1, num of at least 1 and smallest between 0 and 1; "
            f"got {l1_ratio}, {num} and {smallest}"
        )
    system = gram_system(moments, fit_intercept=fit_intercept)
    norm_A = penalty_norm(system.columns, standardize=standardize)
    penalised_A = norm_A > 0
    reach_AK = np.abs(system.xy[penalised_A]) / norm_A[penalised_A, None]
    largest = float(reach_AK.max(initial=0.0)) / max(l1_ratio, _SMALLEST_L1_RATIO)
    # A target that no feature is correlated with needs no penalty, but a grid must have a scale.
    totals = np.geomspace(1.0, smallest if num > 1 else 1.0, num) * (largest or 1.0)
    return tuple(Penalty(l1=float(t * l1_ratio), l2=float(t * (1 - l1_ratio))) for t in totals)


def penalised_path(
    moments: Moments,
    penalties: Sequence[Penalty],
    *,
    fit_intercept: bool = True,
    standardize: bool = True,
) -> Path:
    """Return the exact coefficients for every penalty, each target on its own.

    Raises:
        DataError: no rows, no weight or no features.
        RunFailedError: coordinate descent did not reach its duality gap.

    """
    system = gram_system(moments, fit_intercept=fit_intercept)
    norm_A = penalty_norm(system.columns, standardize=standardize)
    gamma_LAK = np.zeros((len(penalties), *system.xy.shape))
    ridge = [i for i, penalty in enumerate(penalties) if penalty.l1 == 0]
    if ridge:
        gamma_LAK[ridge] = _ridge_path(system, norm_A, np.array([penalties[i].l2 for i in ridge]))
    # From large to small l1, coefficients come in one after another: each point starts from the one before.
    sparse = [i for i in range(len(penalties)) if penalties[i].l1 > 0]
    sparse.sort(key=lambda i: penalties[i], reverse=True)
    for k in range(system.xy.shape[1]):
        gamma_A = np.zeros(len(norm_A))
        for i in sparse:
            gamma_A = minimise(_lasso_problem(system, norm_A, penalties[i], k), gamma_A)
            gamma_LAK[i, :, k] = gamma_A
    coef, intercept = zip(*(unscale(system.columns, gamma_AK) for gamma_AK in gamma_LAK), strict=True)
    return Path(system.columns, tuple(penalties), np.stack(coef), np.stack(intercept))


def solve_penalised(
    moments: Moments,
    penalty: Penalty,
    *,
    fit_intercept: bool = True,
    standardize: bool = True,
    features: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
) -> Solution:
    """Return one penalised fit in the form of `solve`; without an l1 part it is `solve`.

    With one, `Solution.rank` counts the non-zero coefficients (of the target that has most), the condition
    number is that of the design with the l2 penalty, and there are no standard errors.

    Raises:
        DataError: no rows, no weight, no features, or an unknown name.
        RunFailedError: coordinate descent did not reach its duality gap.

    """
    smooth = solve(
        moments,
        l2=penalty.l2,
        fit_intercept=fit_intercept,
        standardize=standardize,
        features=features,
        targets=targets,
    )
    if penalty.l1 == 0:
        return smooth
    system = gram_system(moments.select(features, targets), fit_intercept=fit_intercept)
    norm_A = penalty_norm(system.columns, standardize=standardize)
    problems = [_lasso_problem(system, norm_A, penalty, k) for k in range(system.xy.shape[1])]
    gamma_AK = np.column_stack([minimise(problem, np.zeros(len(norm_A))) for problem in problems])
    coef, intercept = unscale(system.columns, gamma_AK)
    return Solution(
        columns=system.columns,
        coef=coef,
        intercept=intercept,
        l1=penalty.l1,
        l2=penalty.l2,
        standardize=standardize,
        method="coordinate_descent",
        rank=int((gamma_AK != 0).sum(axis=0).max(initial=0)),
        condition_number=smooth.condition_number,
        relative_gradient=np.array(
            [relative_violation(p, g) for p, g in zip(problems, gamma_AK.T, strict=True)]
        ),
        residual_sum=system.residual_sum(gamma_AK),
        total_sum=system.columns.total_sum,
        collinear={},
        tsqr_reason=None,
        factor=None,
    )


def penalty_norm(columns: Columns, *, standardize: bool) -> Array:
    """Return the size of each usable β_j, on the scale that is penalised, per unit of γ_j = scale_j·β_j."""
    size_A = columns.std[columns.active] if standardize else np.ones(len(columns.active))
    return np.asarray(size_A / columns.active_scale)


def _lasso_problem(system: GramSystem, norm_A: Array, penalty: Penalty, k: int) -> LassoProblem:
    return LassoProblem(
        system.gram,
        np.ascontiguousarray(system.xy[:, k]),
        float(system.yy[k]),
        penalty.l1 * norm_A,
        penalty.l2 * norm_A**2,
    )


def _ridge_path(system: GramSystem, norm_A: Array, l2_L: Array) -> Array:
    """Return γ for every l2, (L, A, K): V (Λ + l2)⁻¹ V'c where the penalty is l2 times the identity."""
    num = len(norm_A)
    if num == 0:
        return np.zeros((len(l2_L), *system.xy.shape))
    if (l2_L == 0).any() or norm_A.min() * _MAX_SCALE_RATIO < norm_A.max():
        return np.stack([back_substitute(system.factorise(l2 * norm_A**2), norm_A) for l2 in l2_L])
    values_A, vectors_AA = sl.eigh(system.gram / np.outer(norm_A, norm_A))
    rotated_AK = vectors_AA.T @ (system.xy / norm_A[:, None])
    # The matrix is positive semi-definite; an eigenvalue below zero is rounding.
    shrunk_LAK = rotated_AK / (np.maximum(values_A, 0.0) + l2_L[:, None])[:, :, None]
    return np.asarray((vectors_AA @ shrunk_LAK) / norm_A[:, None])
