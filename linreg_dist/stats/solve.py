"""The exact solution of a least-squares problem, with or without a quadratic penalty, from its statistics.

Objective (per target; the intercept b is free, the penalty acts on the standardised scale when asked) ::

    1/(2 Σw) Σ w (y - xᵀβ - b)² + (l2/2) ‖β‖²

The route escalates, and says so:

1. pivoted Cholesky of the equilibrated Gram matrix;
2. where columns are dependent to working precision: the solution of least norm, the dependent columns named;
3. where the Gram matrix has lost too many digits: `Solution.tsqr_reason` is set. The caller then makes a
   second pass that accumulates an `RFactor` and solves again from that; the answer has the digits of a
   float64 QR.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl

from linreg_dist.errors import SpecError
from linreg_dist.stats.moments import Moments
from linreg_dist.stats.systems import EPS, Array, Columns, Factor, GramSystem, TriangleSystem, gram_system
from linreg_dist.stats.tsqr import RFactor, triangle_system
from linreg_dist.wording.names import some_names

# A Gram solution has a relative error of about ε·cond² (measured: 0.3 to 0.7 of it). Here that is 2e-10.
GRAM_CONDITION_LIMIT = 1000.0

# Residual sum of squares over total: below this the quadratic form keeps fewer than 8 of its digits.
GRAM_RESIDUAL_LIMIT = 1e-7

# Up to here all singular values are computed; above, the extreme ones by power iteration.
_EXACT_CONDITION_COLUMNS = 512
_POWER_STEPS = 30

_MAX_RELATED = 5


@dataclass(frozen=True)
class Solution:
    """A fitted linear model of P features and K targets, with what is known about its accuracy.

    Attributes:
        columns: names, row counts, means and scales of the problem that was solved.
        coef (K, P), intercept (K,): on the original scale; a constant feature has coefficient 0.
        l1, l2, standardize: the penalty that was applied.
        method: "gram", "tsqr", "double_double" (see `refinement`), or "coordinate_descent" with an l1 part.
        rank: independent usable columns, not counting the intercept.
        condition_number: largest over smallest singular value of the equilibrated (and penalised) design;
            inf when singular.
        relative_gradient (K,): gradient of the objective relative to its terms; near 1e-16 when all is well.
        residual_sum, total_sum (K,): Σ w e², and Σ w (y - mean)² (about zero without an intercept).
        collinear: each dependent feature and up to five features that it is a combination of.
        tsqr_reason: why the statistics could not deliver all digits and a QR pass should follow; None when
            they could.
        factor: the triangular factor, for standard errors; None where the method has none.

    """

    columns: Columns
    coef: Array
    intercept: Array
    l1: float
    l2: float
    standardize: bool
    method: str
    rank: int
    condition_number: float
    relative_gradient: Array
    residual_sum: Array
    total_sum: Array
    collinear: Mapping[str, tuple[str, ...]]
    tsqr_reason: str | None
    factor: Factor | None

    @property
    def constant(self) -> tuple[str, ...]:
        """Features that do not vary (are zero, without an intercept): their coefficient is 0."""
        return self.columns.constant

    @property
    def singular(self) -> bool:
        """Whether some features are combinations of others, so that single coefficients mean nothing."""
        return bool(self.collinear)


def solve(
    source: Moments | RFactor,
    *,
    l2: float = 0.0,
    fit_intercept: bool = True,
    standardize: bool = False,
    features: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
) -> Solution:
    """Return the exact minimiser of the objective above.

    Args:
        source: `Moments` (one pass over the data) or `RFactor` (where `Solution.tsqr_reason` asked for it).
        l2: the quadratic penalty, not negative.
        fit_intercept: whether there is a free intercept.
        standardize: whether the penalty acts on coefficients of features divided by their weighted population
            standard deviation. Without a penalty it only decides which norm is least in the singular case.
        features: a subset by name, in this order; None means all.
        targets: likewise.

    Raises:
        SpecError: ``l2`` is negative or not finite.
        DataError: no rows, no weight, or a name that the statistics do not hold.

    """
    if not (l2 >= 0 and math.isfinite(l2)):
        raise SpecError(f"l2 must be a finite number that is not negative, got {l2}")
    system = as_system(source, fit_intercept=fit_intercept, features=features, targets=targets)
    columns = system.columns
    # The norm that the penalty measures, per unit of γ = scale·β: on the original scale β, standardised
    # std·β.
    norm_A = (columns.std[columns.active] if standardize else 1.0) / columns.active_scale
    penalty_A = l2 * norm_A**2
    factor = system.factorise(penalty_A)
    gamma_AK = back_substitute(factor, norm_A)
    condition = _condition_number(factor)
    collinear = _name_dependent(factor, [columns.feature_names[i] for i in columns.active])
    residual_sum_K = system.residual_sum(gamma_AK)
    is_gram = isinstance(system, GramSystem)
    coef_KP, intercept_K = unscale(columns, gamma_AK)
    return Solution(
        columns=columns,
        coef=coef_KP,
        intercept=intercept_K,
        l1=0.0,
        l2=l2,
        standardize=standardize,
        method="gram" if is_gram else "tsqr",
        rank=factor.rank,
        condition_number=condition,
        relative_gradient=system.relative_gradient(gamma_AK, penalty_A),
        residual_sum=residual_sum_K,
        total_sum=columns.total_sum,
        collinear=collinear,
        tsqr_reason=_tsqr_reason(condition, residual_sum_K, columns.total_sum, collinear)
        if is_gram
        else None,
        factor=factor,
    )


def as_system(
    source: Moments | RFactor,
    *,
    fit_intercept: bool,
    features: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
) -> GramSystem | TriangleSystem:
    """Return the equilibrated problem of the selected columns; raises DataError as `solve` does."""
    if isinstance(source, Moments):
        subset = source if features is None and targets is None else source.select(features, targets)
        return gram_system(subset, fit_intercept=fit_intercept)
    factor = source if features is None and targets is None else source.select(features, targets)
    return triangle_system(factor, fit_intercept=fit_intercept)


def unscale(columns: Columns, gamma_AK: Array) -> tuple[Array, Array]:
    """Return coefficients (K, P) and intercepts (K,) on the original scale, from γ = scale·β."""
    coef_KP = np.zeros((gamma_AK.shape[1], len(columns.feature_names)))
    coef_KP[:, columns.active] = (gamma_AK / columns.active_scale[:, None]).T
    if not columns.fit_intercept:
        return coef_KP, np.zeros(gamma_AK.shape[1])
    return coef_KP, columns.mean_y - coef_KP @ columns.mean_x


def back_substitute(factor: Factor, norm_A: Array) -> Array:
    """Return γ; when columns are dependent, of least ‖norm·γ‖ (the limit of ridge for l2 -> 0)."""
    rank, pivot_A = factor.rank, factor.pivot
    num, num_targets = len(pivot_A), factor.rhs.shape[1]
    solved_AK = np.zeros((num, num_targets))
    if rank:
        solved_AK[:rank] = sl.solve_triangular(factor.r[:rank, :rank], factor.rhs)
    if rank < num:
        # [-Z; I] with Z = R11⁻¹R12 spans what the data cannot see; take the solution's part in it away.
        unit_A = (np.where(norm_A > 0, norm_A, 1.0) / factor.extra_scale)[pivot_A]
        null_AM = np.vstack([-_combinations(factor), np.eye(num - rank)]) * unit_A[:, None]
        basis_AM = sl.qr(null_AM, mode="economic")[0]
        scaled_AK = solved_AK * unit_A[:, None]
        solved_AK = (scaled_AK - basis_AM @ (basis_AM.T @ scaled_AK)) / unit_A[:, None]
    gamma_AK = np.empty_like(solved_AK)
    gamma_AK[pivot_A] = solved_AK
    return gamma_AK / factor.extra_scale[:, None]


def _combinations(factor: Factor) -> Array:
    """Return Z = R11⁻¹R12, (rank, A - rank): the dependent columns in terms of the independent ones."""
    rank = factor.rank
    if rank == 0:
        return np.zeros((0, len(factor.pivot)))
    return np.asarray(sl.solve_triangular(factor.r[:rank, :rank], factor.r[:rank, rank:]))


def _name_dependent(factor: Factor, names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return each dependent column with the (at most five) columns that weigh most in it."""
    if factor.rank == len(names):
        return {}
    z_RM = np.abs(_combinations(factor))
    related: dict[str, tuple[str, ...]] = {}
    for m, position in enumerate(factor.pivot[factor.rank :]):
        order = np.argsort(-z_RM[:, m], kind="stable")[:_MAX_RELATED]
        related[names[position]] = tuple(names[factor.pivot[i]] for i in order if z_RM[i, m] > 1e-6)
    return related


def _condition_number(factor: Factor) -> float:
    """Return the 2-norm condition number of the design, estimated for many columns; inf when singular."""
    num = len(factor.pivot)
    if num == 0:
        return 1.0
    if factor.rank < num:
        return math.inf
    if num <= _EXACT_CONDITION_COLUMNS:
        singular = sl.svdvals(factor.r)
        return float(singular[0] / singular[-1])
    largest = _power_iteration(lambda v: factor.r.T @ (factor.r @ v), num)
    smallest = _power_iteration(lambda v: _triangular(factor.r, _triangular(factor.r, v, trans="T")), num)
    return math.sqrt(largest * smallest)


def _triangular(r_AA: Array, v_A: Array, trans: str = "N") -> Array:
    return np.asarray(sl.solve_triangular(r_AA, v_A, trans=trans, check_finite=False))


def _power_iteration(apply: Callable[[Array], Array], num: int) -> float:
    """Return the largest eigenvalue of a positive definite map, at most about a quarter too small.

    Kuczyński and Woźniakowski, "Estimating the largest eigenvalue by the power and Lanczos algorithms with
    a random start" (1992): after q steps the mean relative error is at most
    0.87 ln(num) / (q - 1).
    """
    vector_A = np.random.default_rng(0).normal(size=num)
    value = 0.0
    for _ in range(_POWER_STEPS):
        vector_A /= np.linalg.norm(vector_A)
        image_A = apply(vector_A)
        value = float(vector_A @ image_A)
        vector_A = image_A
    return value


def _tsqr_reason(
    condition: float, residual_sum_K: Array, total_K: Array, collinear: Mapping[str, tuple[str, ...]]
) -> str | None:
    """Say why a Gram solution may lack digits, or None when it does not."""
    if collinear:
        return (
            f"{len(collinear)} feature(s) look like combinations of others "
            f"({some_names(list(collinear)[:5])}); a Gram matrix cannot tell that from a condition number "
            "above about 1e7"
        )
    if condition > GRAM_CONDITION_LIMIT:
        return (
            f"condition number {condition:.3g} is above {GRAM_CONDITION_LIMIT:g}: a Gram matrix keeps about "
            f"{max(-math.log10(EPS * condition**2), 0.0):.0f} correct digits of the coefficients"
        )
    varies_K = total_K > 0
    share = (residual_sum_K[varies_K] / total_K[varies_K]).min(initial=1.0)
    if share < GRAM_RESIDUAL_LIMIT:
        return (
            f"the fit leaves {share:.2g} of the target's variation: too little to be told from rounding in "
            "the sums of squares, so standard errors would lack digits"
        )
    return None
