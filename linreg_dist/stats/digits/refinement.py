"""Least squares in double-double arithmetic: the digits of exact arithmetic on the float64 rows.

The normal equations are summed with twice the digits of float64, so squaring the condition number costs none
that the answer has. Their Cholesky factor solves them; then the residuals of the rows themselves, summed as
carefully, correct the answer until nothing changes.

Björck, Numerical Methods for Least Squares Problems (1996), 2.9.3: iterative refinement in higher precision.
Higham, Accuracy and Stability of Numerical Algorithms (2nd ed.), algorithm 10.2: Cholesky.

Shape suffixes: N rows, S rows of a slice, Q columns (the ones of an intercept first, if there is one, then
the usable features), K targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from linreg_dist.stats.digits.double_double import Double, Floats, two_product
from linreg_dist.stats.kernel import Array

_SLICE_ROWS = 512
# A pivot that is so small against its column holds nothing but the rounding of its sums.
_LEAST_PIVOT = 2.0**-90


@dataclass
class NormalSums:
    """Σ w z [z, y]' of rows, with z = [1, x] or x, in double-double: (Q, Q + K), of which the upper triangle
    of the first Q columns counts.
    """

    has_ones: bool
    sums: Double

    @classmethod
    def empty(cls, num_columns: int, num_targets: int, *, has_ones: bool) -> NormalSums:
        """Return the sums of no rows; ``num_columns`` is Q."""
        return cls(has_ones, Double.zeros(num_columns, num_columns + num_targets))

    def accumulate(self, x_NP: Array, y_NK: Array, w_N: Array | None) -> None:
        """Add rows in place."""
        for z_SQ, y_SK, w_S in _slices(x_NP, y_NK, w_N, has_ones=self.has_ones):
            both = np.concatenate([z_SQ, y_SK], axis=1)
            for i in range(z_SQ.shape[1]):
                part = Double(*two_product(both[:, i:], z_SQ[:, i : i + 1]))
                if w_S is not None:
                    part = part.times(w_S[:, None])
                added = self.sums[i, i:] + part.sum()
                self.sums.hi[i, i:], self.sums.lo[i, i:] = added.hi, added.lo

    def merge(self, other: NormalSums) -> None:
        """Add the rows of ``other`` in place."""
        self.sums = self.sums + other.sums


@dataclass
class GradientSums:
    """Σ w z (y - zᵀβ)' and Σ w (y - zᵀβ)² of rows at one β (Q, K), in double-double: (Q, K) and (K,)."""

    has_ones: bool
    beta: Double
    gradient: Double
    residual: Double

    @classmethod
    def empty(cls, beta: Double, *, has_ones: bool) -> GradientSums:
        """Return the sums of no rows."""
        return cls(has_ones, beta, Double.zeros(*beta.hi.shape), Double.zeros(beta.hi.shape[1]))

    def accumulate(self, x_NP: Array, y_NK: Array, w_N: Array | None) -> None:
        """Add rows in place."""
        for z_SQ, y_SK, w_S in _slices(x_NP, y_NK, w_N, has_ones=self.has_ones):
            for k in range(y_SK.shape[1]):
                beta_Q1 = Double(self.beta.hi[:, k : k + 1], self.beta.lo[:, k : k + 1])
                rest_S = Double.of(y_SK[:, k]) - beta_Q1.times(z_SQ.T).sum()
                weighted_S = rest_S if w_S is None else rest_S.times(w_S)
                column = Double(weighted_S.hi[:, None], weighted_S.lo[:, None])
                gradient = self.gradient[:, k] + column.times(z_SQ).sum()
                residual = self.residual[k] + (weighted_S * rest_S).sum()
                self.gradient.hi[:, k], self.gradient.lo[:, k] = gradient.hi, gradient.lo
                self.residual.hi[k], self.residual.lo[k] = residual.hi, residual.lo

    def merge(self, other: GradientSums) -> None:
        """Add the rows of ``other`` in place."""
        self.gradient = self.gradient + other.gradient
        self.residual = self.residual + other.residual


def cholesky(normal: Double, penalty_Q: Floats) -> Double | None:
    """Return the upper triangular R with R'R = normal + diag(penalty), all (Q, Q); None where the columns are
    dependent to the digits at hand.

    Args:
        normal: (Q, Q), of which the upper triangle counts.
        penalty_Q: what is added to the diagonal, not negative.

    """
    size = len(penalty_Q)
    rest = Double(normal.hi[:, :size].copy(), normal.lo[:, :size].copy())
    diagonal = np.arange(size)
    penalised = rest[diagonal, diagonal] + Double.of(penalty_Q)
    rest.hi[diagonal, diagonal], rest.lo[diagonal, diagonal] = penalised.hi, penalised.lo
    whole_Q = penalised.hi.copy()
    r = Double.zeros(size, size)
    for i in range(size):
        pivot = rest[i : i + 1, i]
        if not pivot.hi[0] > _LEAST_PIVOT * whole_Q[i]:
            return None
        row = rest[i, i:] / pivot.sqrt()
        r.hi[i, i:], r.lo[i, i:] = row.hi, row.lo
        if i + 1 < size:
            tail = row[1:]
            outer = Double(tail.hi[:, None], tail.lo[:, None]) * Double(tail.hi[None], tail.lo[None])
            left = rest[i + 1 :, i + 1 :] - outer
            rest.hi[i + 1 :, i + 1 :], rest.lo[i + 1 :, i + 1 :] = left.hi, left.lo
    return r


def solve_normal(r: Double, right: Double) -> Double:
    """Return β (Q, K) with R'Rβ = right."""
    size = len(right.hi)
    found = Double(right.hi.copy(), right.lo.copy())
    for i in [*range(size)]:
        _substitute(found, i, r[i, i], r[i, i + 1 :], slice(i + 1, size))
    for i in reversed(range(size)):
        _substitute(found, i, r[i, i], r[:i, i], slice(0, i))
    return found


def _substitute(found: Double, i: int, pivot: Double, column: Double, others: slice) -> None:
    solved = found[i] / pivot
    found.hi[i], found.lo[i] = solved.hi, solved.lo
    left = found[others] - Double(column.hi[:, None], column.lo[:, None]) * Double(
        solved.hi[None], solved.lo[None]
    )
    found.hi[others], found.lo[others] = left.hi, left.lo


def _slices(
    x_NP: Array, y_NK: Array, w_N: Array | None, *, has_ones: bool
) -> list[tuple[Floats, Floats, Floats | None]]:
    """Return the rows, (S, Q), (S, K) and (S,) at a time, in float64."""
    slices = []
    for start in range(0, len(x_NP), _SLICE_ROWS):
        rows = slice(start, start + _SLICE_ROWS)
        z_SQ = x_NP[rows].astype(np.float64)
        if has_ones:
            z_SQ = np.concatenate([np.ones((len(z_SQ), 1)), z_SQ], axis=1)
        w_S = None if w_N is None else w_N[rows].astype(np.float64)
        slices.append((z_SQ, y_NK[rows].astype(np.float64), w_S))
    return slices
