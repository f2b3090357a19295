"""The least-squares problem behind a set of statistics, in the two forms that `solve` understands.

Both forms are equilibrated: every usable column is divided by its root mean square (about the mean when
there is an intercept), so that condition numbers and rank decisions do not depend on units. With D =
diag(scale), the unknown is γ = D β, and what is minimised over γ, per target, is ::

    1/(2 Σw) ‖√W (y - X D⁻¹ γ)‖² + 1/2 Σ_j penalty_j γ_j²

`GramSystem` knows the products X'WX and X'Wy; it is cheap and loses digits as cond(X)².
`TriangleSystem` knows R of a QR factorisation of √W [X y]; it loses digits as cond(X) only.

Equilibration is within a factor √P of the best column scaling: van der Sluis (1969); Higham, Accuracy and
Stability of Numerical Algorithms (2nd ed.), theorem 7.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy.linalg as sl
from numpy.typing import NDArray

from linreg_dist.errors import DataError
from linreg_dist.stats.moments import Moments

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)

# A column whose standard deviation is below this fraction of its mean is constant: its digits are rounding.
_CONSTANT_RTOL = 16 * EPS


class RowSums(Protocol):
    """What `Moments` and `RFactor` have in common."""

    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    n: int
    n_zero_weight: int
    sum_w: float
    sum_log_w: float


@dataclass(frozen=True)
class Columns:
    """What both forms know about the columns: P features, K targets, A of the features usable.

    Attributes:
        feature_names, target_names: in the order of the statistics.
        n, n_zero_weight, sum_w, sum_log_w: as in `Moments`.
        fit_intercept: whether the system is centred.
        mean_x (P,), mean_y (K,): weighted means (also without an intercept).
        scale (P,): root mean square of each feature, about its mean with an intercept, about zero without.
        std (P,): weighted population standard deviation of each feature.
        active (A,): positions of the features that are not constant (not zero, without an intercept).
        total_sum (K,): Σ w (y - mean)², or Σ w y² without an intercept; exactly 0 for a target that does
            not vary.

    """

    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    n: int
    n_zero_weight: int
    sum_w: float
    sum_log_w: float
    fit_intercept: bool
    mean_x: Array
    mean_y: Array
    scale: Array
    std: Array
    active: NDArray[np.intp]
    total_sum: Array

    @property
    def constant(self) -> tuple[str, ...]:
        """Names of the features that are not usable."""
        active = set(self.active.tolist())
        return tuple(name for i, name in enumerate(self.feature_names) if i not in active)

    @property
    def active_scale(self) -> Array:
        """`scale` of the usable features."""
        return self.scale[self.active]


@dataclass(frozen=True)
class Factor:
    """A pivoted triangular factor: ``R'R`` is the equilibrated, penalised Gram matrix, columns pivoted.

    Attributes:
        r (A, A): upper triangular; rows from `rank` on are meaningless.
        pivot (A,): ``pivot[i]`` is the usable column at position i.
        rank: how many columns are independent to working precision.
        rhs (rank, K): the right-hand side: R11 extra_scale·γ = rhs for the first `rank` columns.
        extra_scale (A,): the second scaling, which equilibrates the penalties too.

    """

    r: Array
    pivot: NDArray[np.intp]
    rank: int
    rhs: Array
    extra_scale: Array


@dataclass(frozen=True)
class GramSystem:
    """The problem as products.

    Attributes:
        columns: what the columns are.
        gram (A, A): D⁻¹X'WXD⁻¹/Σw, a correlation matrix when centred.
        xy (A, K), yy (K,): D⁻¹X'Wy/Σw and the mean square of y.

    """

    columns: Columns
    gram: Array
    xy: Array
    yy: Array

    def factorise(self, penalty_A: Array) -> Factor:
        """Pivoted Cholesky (LAPACK dpstrf) of the equilibrated Gram matrix plus the penalties."""
        num = len(penalty_A)
        matrix_AA = self.gram + np.diag(penalty_A)
        extra_A = np.sqrt(np.diag(matrix_AA))
        matrix_AA = matrix_AA / np.outer(extra_A, extra_A)
        np.fill_diagonal(matrix_AA, 1.0)
        # Sums of products carry a relative error of a few ε; a pivot below that is noise, not information.
        r_AA, pivot, rank, _ = sl.lapack.dpstrf(matrix_AA, tol=10 * EPS * max(num, 10))
        pivot_A = np.asarray(pivot, dtype=np.intp) - 1
        rhs_AK = (self.xy / extra_A[:, None])[pivot_A]
        rhs_RK = sl.solve_triangular(r_AA[:rank, :rank], rhs_AK[:rank], trans="T")
        return Factor(np.triu(r_AA), pivot_A, int(rank), rhs_RK, extra_A)

    def residual_sum(self, gamma_AK: Array) -> Array:
        """Σ w e², (K,), by the quadratic form: absolute error about ε times the total sum of squares."""
        form_K = np.einsum("ak,ak->k", gamma_AK, self.gram @ gamma_AK - 2 * self.xy)
        return np.asarray(np.maximum(self.yy + form_K, 0.0) * self.columns.sum_w)

    def relative_gradient(self, gamma_AK: Array, penalty_A: Array) -> Array:
        """‖X'We - penalty·γ‖∞ / (‖gram‖∞‖γ‖∞ + ‖X'Wy‖∞), (K,), everything equilibrated."""
        residual_AK = self.xy - self.gram @ gamma_AK - penalty_A[:, None] * gamma_AK
        return _relative(residual_AK, self.gram, gamma_AK, self.xy)


@dataclass(frozen=True)
class TriangleSystem:
    """The problem as a triangle.

    Attributes:
        columns: what the columns are.
        x (Q, A): the triangular factor of √W X D⁻¹/√Σw (columns of unusable features left out).
        xy (Q, K): Q'√W y/√Σw.
        unreachable (K,): mean square of the part of y outside the span of X.

    """

    columns: Columns
    x: Array
    xy: Array
    unreachable: Array

    def factorise(self, penalty_A: Array) -> Factor:
        """Pivoted QR (LAPACK dgeqp3) of the triangle stacked on √penalty."""
        num = len(penalty_A)
        stacked_SA, rhs_SK = self.x, self.xy
        if penalty_A.any():
            stacked_SA = np.vstack([stacked_SA, np.diag(np.sqrt(penalty_A))])
            rhs_SK = np.vstack([rhs_SK, np.zeros((num, rhs_SK.shape[1]))])
        extra_A = np.sqrt(np.einsum("sa,sa->a", stacked_SA, stacked_SA))
        q_SR, r_AA, pivot_A = sl.qr(stacked_SA / extra_A, mode="economic", pivoting=True)
        diagonal = np.abs(np.diag(r_AA))
        rank = int(np.sum(diagonal > 10 * EPS * max(num, 10)))
        rhs_RK = q_SR[:, :rank].T @ rhs_SK
        padded_AA = np.zeros((num, num))
        padded_AA[: r_AA.shape[0]] = r_AA
        return Factor(padded_AA, np.asarray(pivot_A, dtype=np.intp), rank, rhs_RK, extra_A)

    def residual_sum(self, gamma_AK: Array) -> Array:
        """Σ w e², (K,), as a sum of squares: no cancellation however good the fit."""
        residual_QK = self.xy - self.x @ gamma_AK
        return np.asarray(
            (np.einsum("qk,qk->k", residual_QK, residual_QK) + self.unreachable) * self.columns.sum_w
        )

    def relative_gradient(self, gamma_AK: Array, penalty_A: Array) -> Array:
        """As `GramSystem.relative_gradient`, from the triangle."""
        gradient_AK = self.x.T @ (self.xy - self.x @ gamma_AK) - penalty_A[:, None] * gamma_AK
        return _relative(gradient_AK, self.x.T @ self.x, gamma_AK, self.x.T @ self.xy)


def gram_system(moments: Moments, *, fit_intercept: bool) -> GramSystem:
    """Return the equilibrated normal equations; raises DataError when there are no rows or no weight."""
    p = moments.num_features
    cross_ZZ = moments.cross
    mean_Z = moments.mean
    columns = describe_columns(moments, mean_Z, np.diag(cross_ZZ), fit_intercept=fit_intercept)
    if not fit_intercept:
        cross_ZZ = cross_ZZ + np.outer(mean_Z, mean_Z) * moments.sum_w
    a, d_A, sum_w = columns.active, columns.active_scale, columns.sum_w
    gram_AA = cross_ZZ[np.ix_(a, a)] / np.outer(d_A, d_A) / sum_w
    np.fill_diagonal(gram_AA, 1.0)
    varies_K = columns.total_sum > 0
    xy_AK = cross_ZZ[a, p:] / d_A[:, None] / sum_w * varies_K
    return GramSystem(columns, gram_AA, xy_AK, columns.total_sum / sum_w)


def describe_columns(moments: RowSums, mean_Z: Array, centred_Z: Array, *, fit_intercept: bool) -> Columns:
    """Return the scales of the columns and which are usable.

    Args:
        moments: `Moments` or `RFactor`: the names and the row sums are taken from it.
        mean_Z: weighted means, features then targets.
        centred_Z: Σ w (z - mean)² of each column.
        fit_intercept: whether constants are taken by an intercept.

    Raises:
        DataError: there are no features, no rows, or no weight.

    """
    p, sum_w = len(moments.feature_names), moments.sum_w
    if p == 0:
        raise DataError("no features are left to fit: select at least one")
    if not sum_w > 0:
        raise DataError(f"nothing to fit: {moments.n} rows with a total weight of {sum_w:g}")
    std_Z = np.sqrt(np.maximum(centred_Z, 0.0) / sum_w)
    std_Z[std_Z <= _CONSTANT_RTOL * np.abs(mean_Z)] = 0.0
    rms_Z = std_Z if fit_intercept else np.hypot(std_Z, mean_Z)
    return Columns(
        feature_names=moments.feature_names,
        target_names=moments.target_names,
        n=moments.n,
        n_zero_weight=moments.n_zero_weight,
        sum_w=sum_w,
        sum_log_w=moments.sum_log_w,
        fit_intercept=fit_intercept,
        mean_x=mean_Z[:p],
        mean_y=mean_Z[p:],
        scale=rms_Z[:p],
        std=std_Z[:p],
        active=np.flatnonzero(rms_Z[:p] > 0),
        total_sum=rms_Z[p:] ** 2 * sum_w,
    )


def _relative(gradient_AK: Array, gram_AA: Array, gamma_AK: Array, xy_AK: Array) -> Array:
    """Scale a gradient by the size of the terms that it is the difference of; 0 where all of them vanish."""
    if gram_AA.size == 0:
        return np.zeros(gamma_AK.shape[1])
    size_K = np.abs(gram_AA).sum(axis=1).max() * np.abs(gamma_AK).max(axis=0) + np.abs(xy_AK).max(axis=0)
    return np.asarray(np.abs(gradient_AK).max(axis=0) / np.where(size_K > 0, size_K, 1.0))
