"""Least squares by orthogonal triangularisation of streamed blocks (TSQR), where a Gram matrix falls short.

Each block of √w [1, x - shift, y - shift] is reduced to its triangular factor R; two factors stacked reduce
to that of both. R'R is the matrix of moments, but the condition number is not squared on the way, and the
residual sum of squares comes out as a sum of squares. It costs about four times the arithmetic of the
moments.

Demmel, Grigori, Hoemmen and Langou, "Communication-optimal parallel and sequential QR and LU
factorizations", SIAM J. Sci. Comput. 34 (2012).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from linreg_dist.errors import DataError
from linreg_dist.stats.kernel import Array, Floats
from linreg_dist.stats.moments import Moments
from linreg_dist.stats.systems import TriangleSystem, describe_columns

# Rows of a slice per column: a taller slice makes the Householder sweep more efficient, until it leaves the
# cache.
_ROWS_PER_COLUMN = 16
_MIN_SLICE_ROWS = 1024


@dataclass
class RFactor:
    """R of √w [1, x - shift, y - shift], upper triangular (Q, Q) with Q = 1 + p + k.

    Its diagonal is not negative, which makes it unique and the same in every run.

    The counts and sums are those of `Moments`. All arrays are float64.
    """

    feature_names: tuple[str, ...]
    target_names: tuple[str, ...]
    n: int
    n_zero_weight: int
    sum_w: float
    sum_w2: float
    sum_log_w: float
    shift: Floats
    r: Floats

    @classmethod
    def empty(cls, like: Moments) -> RFactor:
        """Return the factor of no rows, with the columns of ``like`` and its means as the shift.

        The means of the first pass are the best shift there is, and the same one in every worker.
        """
        size = 1 + like.num_features + like.num_targets
        r_QQ = np.zeros((size, size))
        return cls(like.feature_names, like.target_names, 0, 0, 0.0, 0.0, 0.0, like.mean, r_QQ)

    def accumulate(self, x_ND: Array, y_NK: Array, w_N: Array | None = None) -> None:
        """Add the rows of one block in place.

        Raises:
            DataError: the shapes do not match the columns, or a value or weight is not allowed, as in
                `Moments.from_block`.

        """
        # The moments check the block and give the row sums; next to a QR they cost little.
        sums = Moments.from_block(
            x_ND, y_NK, w_N, feature_names=self.feature_names, target_names=self.target_names
        )
        num_rows, num_features = x_ND.shape
        size = self.r.shape[0]
        step = max(_MIN_SLICE_ROWS, _ROWS_PER_COLUMN * size)
        # (Q, S) row-major is column-major for LAPACK: no transposition on the way in.
        scratch_QS = np.empty((size, size + min(step, max(num_rows, 1))))
        root_w_N = None if w_N is None else np.sqrt(w_N.astype(np.float64))
        for start in range(0, num_rows, step):
            stop = min(start + step, num_rows)
            stacked_QS = scratch_QS[:, : size + stop - start]
            stacked_QS[:, :size] = self.r.T
            rows_QS = stacked_QS[:, size:]
            rows_QS[0] = 1.0
            rows_QS[1 : 1 + num_features] = x_ND[start:stop].T
            rows_QS[1 + num_features :] = y_NK[start:stop].T
            rows_QS[1:] -= self.shift[:, None]
            if root_w_N is not None:
                rows_QS *= root_w_N[start:stop]
            self.r = _triangle(stacked_QS.T)
        self._add_sums(sums)

    def merge(self, other: RFactor) -> None:
        """Add the rows of ``other`` in place; raises DataError when the columns differ.

        A different shift s' is no obstacle: z - s = (z - s') + (s' - s)·1, which adds a multiple of the
        first column of R to each other column and leaves R triangular.
        """
        if (self.feature_names, self.target_names) != (other.feature_names, other.target_names):
            raise DataError(
                "QR factors of different columns cannot be merged: "
                f"{(*self.feature_names, *self.target_names)} against "
                f"{(*other.feature_names, *other.target_names)}"
            )
        moved = other.r.copy()
        moved[0, 1:] += (other.shift - self.shift) * moved[0, 0]
        self.r = _triangle(np.concatenate([self.r, moved]))
        self._add_sums(other)

    def select(self, features: Sequence[str] | None = None, targets: Sequence[str] | None = None) -> RFactor:
        """Return the factor of a subset of the columns, in this order; raises DataError for unknown names."""
        moments = self.to_moments().select(features, targets)
        place = {name: 1 + i for i, name in enumerate((*self.feature_names, *self.target_names))}
        index_Z = np.array([place[name] for name in (*moments.feature_names, *moments.target_names)])
        columns_Q = np.concatenate([np.zeros(1, dtype=np.intp), index_Z])
        return replace(
            self,
            feature_names=moments.feature_names,
            target_names=moments.target_names,
            shift=self.shift[index_Z - 1],
            r=_triangle(self.r[:, columns_Q]),
        )

    def to_moments(self) -> Moments:
        """Return the moments of the same rows: mean = shift + R[0, 1:]/R[0, 0], cross = R22'R22."""
        offset_Z = self.r[0, 1:] / self.r[0, 0] if self.sum_w > 0 else np.zeros_like(self.shift)
        inner_ZZ = self.r[1:, 1:]
        cross_ZZ = inner_ZZ.T @ inner_ZZ
        return Moments(
            self.feature_names,
            self.target_names,
            self.n,
            self.n_zero_weight,
            self.sum_w,
            self.sum_w2,
            self.sum_log_w,
            self.shift.copy(),
            offset_Z,
            (cross_ZZ + cross_ZZ.T) / 2,
        )

    def _add_sums(self, other: RFactor | Moments) -> None:
        self.n += other.n
        self.n_zero_weight += other.n_zero_weight
        self.sum_w += other.sum_w
        self.sum_w2 += other.sum_w2
        self.sum_log_w += other.sum_log_w


def merged_factors(parts: Iterable[RFactor]) -> RFactor:
    """Merge in a fixed pairwise tree: the same parts in the same order give the same bits.

    Raises:
        DataError: there is no part, or the columns differ.

    """
    level = [replace(part, r=part.r.copy()) for part in parts]
    if not level:
        raise DataError("no QR factors to merge: at least one part is needed")
    while len(level) > 1:
        for i in range(0, len(level) - 1, 2):
            level[i].merge(level[i + 1])
        level = level[::2]
    return level[0]


def triangle_system(factor: RFactor, *, fit_intercept: bool) -> TriangleSystem:
    """Return the equilibrated triangular problem; raises DataError when there are no rows or no weight."""
    p = len(factor.feature_names)
    r_QQ = factor.r
    inner_ZZ = r_QQ[1:, 1:]
    moments_mean_Z = factor.to_moments().mean
    centred_Z = np.einsum("ij,ij->j", inner_ZZ, inner_ZZ)
    columns = describe_columns(factor, moments_mean_Z, centred_Z, fit_intercept=fit_intercept)
    if not fit_intercept:
        # Back to z itself: add shift·1, whose only component is the first row, and triangularise again.
        first_Z = r_QQ[0, 1:] + factor.shift * r_QQ[0, 0]
        inner_ZZ = _triangle(np.vstack([first_Z, inner_ZZ]))
    root_w = np.sqrt(columns.sum_w)
    varies_K = columns.total_sum > 0
    tail_KK = inner_ZZ[p:, p:] / root_w * varies_K
    return TriangleSystem(
        columns,
        inner_ZZ[:p, columns.active] / columns.active_scale / root_w,
        inner_ZZ[:p, p:] / root_w * varies_K,
        np.einsum("qk,qk->k", tail_KK, tail_KK),
    )


def _triangle(rows_NQ: Floats) -> Floats:
    """Return the square R of ``rows_NQ``, zero rows added when it is wide, its diagonal not negative."""
    size = rows_NQ.shape[1]
    r: Floats = np.asarray(np.linalg.qr(rows_NQ, mode="r"))
    r = r * np.where(r.diagonal() < 0, -1.0, 1.0)[:, None]
    if r.shape[0] < size:
        r = np.concatenate([r, np.zeros((size - r.shape[0], size))])
    return r
