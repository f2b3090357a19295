"""Covariances that survive unequal or clustered error variances, in one streamed pass: HC0 to HC3, cluster.

The sandwich is ``C M C`` with C = (X̃'WX̃)⁻¹, X̃ = [1 X], and the meat, for rows with error e and leverage
h ::

    HC0       M = Σ (w e)² x̃x̃'                         White (1980)
    HC1       HC0 · n/df
    HC2       M = Σ (w e)²/(1 - h) x̃x̃'                 MacKinnon and White (1985)
    HC3       M = Σ (w e)²/(1 - h)² x̃x̃'
    cluster   M = Σ_g s_g s_g', s_g = Σ_{i in g} w e x̃, times G/(G-1) · (n-1)/df
                                                       Liang and Zeger (1986), corrected as in statsmodels

with h = w x̃'Cx̃. With frequency weights a row is w equal rows: (w e)² becomes w e², and h loses its factor w.

Everything is accumulated in coordinates u = J'x̃ (J J' = C) in which the design is orthonormal: C is the
identity there, h is w‖u‖², and no digits are lost to badly scaled columns. Each worker feeds its blocks; the
parts merge.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from linreg_dist.errors import DataError, SpecError
from linreg_dist.kernels.calls import add_meats
from linreg_dist.stats.inference import (
    CoefficientTests,
    Refusal,
    WeightType,
    coefficient_tests,
    degrees_of_freedom,
    num_observations,
    refusal,
    unscaled_root,
)
from linreg_dist.stats.kernel import Array, Floats, is_plain, slice_rows
from linreg_dist.stats.solve import Solution

RobustType = Literal["HC0", "HC1", "HC2", "HC3", "cluster"]

# Power of 1/(1 - h) in the squared residual, by the meat that is accumulated.
_LEVERAGE_POWER: dict[str, int] = {"HC0": 0, "HC2": 1, "HC3": 2}

# A row with 1 - h below this is fitted exactly, whatever its value: HC2 and HC3 divide by zero there.
_LEVERAGE_ATOL = 1e-10


@dataclass(frozen=True)
class _Coordinates:
    """The map from a row to its orthonormal coordinates and its residual; R = A or A + 1."""

    mean_x: Floats
    to_orthonormal: Floats
    ones_value: float | None
    mean_y: Floats
    coef: Floats


class RobustMeat:
    """The meats of one solution over the rows seen so far.

    Attributes:
        kinds: which of HC0 (also serves HC1), HC2, HC3 and cluster are accumulated.
        residual_sum: Σ w e² measured from the rows, (K,).
        gradient: Σ w e u, (K, R): zero at the exact solution; an a-posteriori check of it.

    Raises:
        SpecError: the solution has no inference (see `inference.refusal`), or a kind is unknown.

    """

    def __init__(
        self,
        solution: Solution,
        kinds: Sequence[RobustType],
        *,
        weight_type: WeightType = "analytic",
    ) -> None:
        refused = refusal(solution, weight_type)
        if refused is not None:
            raise SpecError(f"robust standard errors do not exist: {refused.reason}")
        unknown = set(kinds) - {"HC0", "HC1", "HC2", "HC3", "cluster"}
        if unknown or not kinds:
            raise SpecError(
                f"unknown covariance type(s): {', '.join(sorted(unknown)) or 'none given'}; "
                "choose from HC0, HC1, HC2, HC3, cluster"
            )
        self.kinds: tuple[str, ...] = tuple(dict.fromkeys("HC0" if kind == "HC1" else kind for kind in kinds))
        self.weight_type = weight_type
        self._coordinates = _coordinates_of(solution)
        num_targets = len(solution.columns.target_names)
        size = self._coordinates.to_orthonormal.shape[1] + int(solution.columns.fit_intercept)
        self.n = 0
        self.num_full_leverage = 0
        self.residual_sum = np.zeros(num_targets)
        self.gradient = np.zeros((num_targets, size))
        self._meats = {kind: np.zeros((num_targets, size, size)) for kind in self.kinds if kind != "cluster"}
        self._cluster_scores: dict[Any, NDArray[np.float64]] = {}

    def fresh(self) -> RobustMeat:
        """Return the sums of no rows for the same solution: cheaper than to start from the solution."""
        other = copy.copy(self)
        other.n = other.num_full_leverage = 0
        other.residual_sum = np.zeros_like(self.residual_sum)
        other.gradient = np.zeros_like(self.gradient)
        other._meats = {kind: np.zeros_like(meat) for kind, meat in self._meats.items()}
        other._cluster_scores = {}
        return other

    def accumulate(
        self,
        x_ND: Array,
        y_NK: Array,
        w_N: Array | None = None,
        cluster_N: NDArray[Any] | None = None,
        *,
        native: bool = False,
    ) -> None:
        """Add the rows of one block; ``cluster_N`` holds an id per row (integers or strings, no nulls).

        ``native`` sums by one native call, to the rounding of float64.

        Raises:
            DataError: ``cluster_N`` is missing where cluster errors were asked for, or has another length.

        """
        num_rows = x_ND.shape[0]
        if ("cluster" in self.kinds) != (cluster_N is not None) or (
            cluster_N is not None and len(cluster_N) != num_rows
        ):
            found = "none" if cluster_N is None else str(len(cluster_N))
            raise DataError(
                f"cluster ids: found {found} for a block of {num_rows} rows; "
                "give one per row exactly when cluster-robust errors are accumulated"
            )
        keys: list[Any] = []
        codes_N = np.zeros(0, dtype=np.intp)
        if cluster_N is not None:
            unique, codes_N = np.unique(cluster_N, return_inverse=True)
            keys = unique.tolist()
        num_targets, size = self.gradient.shape
        scores_GKR = np.zeros((len(keys), num_targets, size))
        if native and num_rows and is_plain([x_ND, y_NK, *([] if w_N is None else [w_N])]):
            self._accumulate_natively(x_ND, y_NK, w_N, codes_N if keys else None, scores_GKR)
            self._add_cluster_scores(keys, scores_GKR)
            self.n += num_rows
            return
        step = slice_rows(x_ND.shape[1] + size)
        for start in range(0, num_rows, step):
            rows = slice(start, start + step)
            weight_S = None if w_N is None else w_N[rows].astype(np.float64)
            u_SR, error_SK = self._orthonormal_rows(x_ND[rows], y_NK[rows])
            weighted_SK = error_SK if weight_S is None else error_SK * weight_S[:, None]
            self.residual_sum += (weighted_SK * error_SK).sum(axis=0)
            self.gradient += weighted_SK.T @ u_SR
            self._add_meats(u_SR, error_SK, weight_S)
            if keys:
                for k in range(num_targets):
                    for r in range(size):
                        of_rows_S = u_SR[:, r] * weighted_SK[:, k]
                        scores_GKR[:, k, r] += np.bincount(codes_N[rows], of_rows_S, len(keys))
        self._add_cluster_scores(keys, scores_GKR)
        self.n += num_rows

    def _accumulate_natively(
        self, x_ND: Array, y_NK: Array, w_N: Array | None, codes_N: NDArray[Any] | None, scores_GKR: Floats
    ) -> None:
        c, kinds = self._coordinates, list(self._meats)
        meats = np.zeros((len(kinds), *self.gradient.shape, self.gradient.shape[1]))
        self.num_full_leverage += add_meats(
            [*x_ND.T, *y_NK.T],
            w_N,
            None if codes_N is None else np.ascontiguousarray(codes_N, dtype=np.int64),
            np.concatenate([c.mean_x, c.mean_y]),
            c.coef,
            c.to_orthonormal,
            c.ones_value,
            [_LEVERAGE_POWER[kind] for kind in kinds],
            (self.residual_sum, self.gradient, meats, scores_GKR),
            is_analytic=self.weight_type == "analytic",
        )
        for kind, found in zip(kinds, meats, strict=True):
            self._meats[kind] += found

    def merge(self, other: RobustMeat) -> None:
        """Add the rows of ``other``, which must have been made from the same solution with the same kinds.

        Raises:
            DataError: kinds, weight type or shapes differ.

        """
        mine = (self.kinds, self.weight_type, self.gradient.shape)
        theirs = (other.kinds, other.weight_type, other.gradient.shape)
        if mine != theirs:
            raise DataError(f"robust sums of different problems cannot be merged: {mine} against {theirs}")
        self.n += other.n
        self.num_full_leverage += other.num_full_leverage
        self.residual_sum += other.residual_sum
        self.gradient += other.gradient
        for kind, meat in self._meats.items():
            meat += other._meats[kind]
        keys = list(other._cluster_scores)
        if keys:
            self._add_cluster_scores(keys, np.stack([other._cluster_scores[key] for key in keys]))

    def state(self) -> dict[str, Any]:
        """Return plain arrays and lists that `load_state` restores: what a worker sends to be merged."""
        return {
            "n": self.n,
            "num_full_leverage": self.num_full_leverage,
            "residual_sum": self.residual_sum,
            "gradient": self.gradient,
            "meats": dict(self._meats),
            "cluster_keys": list(self._cluster_scores),
            "cluster_scores": np.array(list(self._cluster_scores.values())),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Replace the sums by those of `state` from an accumulator of the same solution and kinds."""
        self.n, self.num_full_leverage = state["n"], state["num_full_leverage"]
        self.residual_sum, self.gradient = state["residual_sum"].copy(), state["gradient"].copy()
        self._meats = {kind: meat.copy() for kind, meat in state["meats"].items()}
        self._cluster_scores = dict(zip(state["cluster_keys"], state["cluster_scores"], strict=True))

    @property
    def num_clusters(self) -> int:
        """G, the number of clusters seen."""
        return len(self._cluster_scores)

    def meat(self, kind: str) -> NDArray[np.float64]:
        """Return the meat of one kind in orthonormal coordinates, (K, R, R), summed over all rows seen."""
        if kind != "cluster":
            return self._meats["HC0" if kind == "HC1" else kind]
        # Sorted by id, so that the sum does not depend on the order in which clusters were met.
        scores_GKR = np.stack([self._cluster_scores[key] for key in sorted(self._cluster_scores)])
        return np.asarray(np.einsum("gkr,gks->krs", scores_GKR, scores_GKR, optimize=True))

    def _orthonormal_rows(self, x_SP: Array, y_SK: Array) -> tuple[Floats, Floats]:
        c = self._coordinates
        centred_SP = x_SP.astype(np.float64) - c.mean_x
        error_SK = (y_SK.astype(np.float64) - c.mean_y) - centred_SP @ c.coef.T
        u_SA = centred_SP @ c.to_orthonormal
        if c.ones_value is None:
            return u_SA, error_SK
        return np.concatenate([np.full((len(u_SA), 1), c.ones_value), u_SA], axis=1), error_SK

    def _add_meats(self, u_SR: Floats, error_SK: Floats, weight_S: Floats | None) -> None:
        if not self._meats:
            return
        leverage_S = np.square(u_SR).sum(axis=1)
        size_SK = np.abs(error_SK)
        if weight_S is not None:
            analytic = self.weight_type == "analytic"
            leverage_S = leverage_S * weight_S if analytic else leverage_S
            leverage_S = np.where(weight_S > 0, leverage_S, 0.0)
            size_SK = size_SK * (weight_S if analytic else np.sqrt(weight_S))[:, None]
        rest_S = 1 - leverage_S
        full_S = rest_S < _LEVERAGE_ATOL
        self.num_full_leverage += int(full_S.sum())
        rest_S = np.where(full_S, 1.0, rest_S)
        for kind, meat_KRR in self._meats.items():
            scaled_SK = size_SK * rest_S[:, None] ** (-_LEVERAGE_POWER[kind] / 2)
            for k in range(scaled_SK.shape[1]):
                row_SR = u_SR * scaled_SK[:, k : k + 1]
                meat_KRR[k] += row_SR.T @ row_SR

    def _add_cluster_scores(self, keys: Sequence[Any], scores_GKR: NDArray[np.float64]) -> None:
        for key, score_KR in zip(keys, scores_GKR, strict=True):
            seen = self._cluster_scores.get(key)
            self._cluster_scores[key] = score_KR.copy() if seen is None else seen + score_KR


def robust_tests(
    solution: Solution,
    meat: RobustMeat,
    cov_type: RobustType,
    *,
    alpha: float = 0.05,
    use_t: bool = False,
) -> tuple[CoefficientTests, ...] | Refusal:
    """Return each target's coefficient tests under a robust covariance, or why there are none.

    Args:
        solution: the solution that ``meat`` was made from.
        meat: the sums over all its rows.
        cov_type: HC0, HC1, HC2, HC3 or cluster; must be among the accumulated kinds.
        alpha: 1 minus the level of the intervals.
        use_t: use the t distribution with n - q (clusters: G - 1) degrees of freedom instead of the normal
            one, which is statsmodels' default; Stata's is t.

    Raises:
        SpecError: ``cov_type`` was not accumulated, or ``alpha`` is not between 0 and 1.
        DataError: the rows seen are not as many as those of the solution.

    """
    if ("HC0" if cov_type == "HC1" else cov_type) not in meat.kinds:
        raise SpecError(f"{cov_type} was not accumulated; this pass has {', '.join(meat.kinds)}")
    if meat.n != solution.columns.n:
        raise DataError(
            f"the second pass saw {meat.n} rows, the first {solution.columns.n}: both must read the same rows"
        )
    n, df = (f(solution, meat.weight_type) for f in (num_observations, degrees_of_freedom))
    factor, df_f = 1.0, df
    if cov_type == "HC1":
        factor = n / df
    elif cov_type in ("HC2", "HC3") and meat.num_full_leverage:
        return Refusal(
            f"{meat.num_full_leverage} row(s) have leverage 1 (a column is non-zero in that row alone): "
            f"{cov_type} divides by zero there; use HC1"
        )
    elif cov_type == "cluster":
        num = meat.num_clusters
        if num < 2:
            return Refusal(f"{num} cluster was found; cluster-robust errors need at least two")
        factor, df_f = num / (num - 1) * (n - 1) / df, num - 1.0
    root_QR = unscaled_root(solution)
    return tuple(
        coefficient_tests(
            solution,
            k,
            root_QR @ (meat_RR * factor) @ root_QR.T,
            cov_type=cov_type,
            df=df_f if use_t else math.inf,
            df_f=df_f,
            alpha=alpha,
        )
        for k, meat_RR in enumerate(meat.meat(cov_type))
    )


def _coordinates_of(solution: Solution) -> _Coordinates:
    """Split J of `unscaled_root` into what acts on centred features and the constant of the intercept."""
    columns, intercept = solution.columns, int(solution.columns.fit_intercept)
    root_PA = np.nan_to_num(unscaled_root(solution)[intercept:, intercept:])
    # J'x̃ = [1/√Σw, T'(x - m)]: the intercept's row of J does the centring.
    mean_P = columns.mean_x if intercept else np.zeros_like(columns.mean_x)
    mean_K = columns.mean_y if intercept else np.zeros_like(columns.mean_y)
    return _Coordinates(
        mean_P,
        np.ascontiguousarray(root_PA),
        1 / math.sqrt(columns.sum_w) if intercept else None,
        mean_K,
        np.ascontiguousarray(solution.coef),
    )
