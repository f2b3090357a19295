"""Coordinate descent on a Gram matrix, finished exactly: the inner solver of lasso and elastic net.

    minimise over γ   ½ γ'Gγ - c'γ + Σ_j l1_j |γ_j| + ½ Σ_j l2_j γ_j²

Coordinate descent with covariance updates (Friedman, Hastie and Tibshirani, "Regularization Paths for
Generalized Linear Models via Coordinate Descent", J. Stat. Softw. 33 (2010), section 2.2) finds which
coefficients are not zero and their signs. Given those, the minimiser solves a linear system: the step of
feature-sign search (Lee, Battle, Raina and Ng, "Efficient sparse coding algorithms", NIPS 2006, algorithm
1). It is tried first, since neighbours on a path mostly share their signs; a path then costs a small
Cholesky per point. Nothing is accepted but by its duality gap and optimality conditions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg as sl
from numpy.typing import NDArray

from linreg_dist.errors import RunFailedError
from linreg_dist.stats.systems import Array

# A solution is accepted when its duality gap is below this share of the mean square of y …
GAP_RTOL = 1e-12
# … and no optimality condition is violated by more than this share of the largest |c|. The gap alone bounds
# the error of the coefficients only by its square root.
VIOLATION_RTOL = 1e-10

_MAX_ROUNDS = 5000
_SWEEPS_PER_ROUND = 2

# The exact step costs |set|³/3: larger sets are left to coordinate descent.
_MAX_EXACT_SET = 1500
_MAX_SIGN_CHANGES = 10


@dataclass(frozen=True)
class LassoProblem:
    """The objective above: G (A, A), c (A,), the mean square of y, and each coefficient's penalties (A,)."""

    gram: Array
    c: Array
    yy: float
    l1: Array
    l2: Array


def minimise(problem: LassoProblem, start_A: Array) -> Array:
    """Return the minimiser, from a start near it (a neighbour on a path) or zero.

    Raises:
        RunFailedError: the tolerances were not reached; only almost collinear columns without an l2 part do
        that.

    """
    gamma_A = start_A.copy()
    if len(gamma_A) == 0:
        return gamma_A
    gap = violation = np.inf
    for _ in range(_MAX_ROUNDS):
        gamma_A = _exact_on_signs(problem, gamma_A)
        slope_A = problem.c - problem.gram @ gamma_A
        gap, violation = _certificates(problem, gamma_A, slope_A)
        if gap <= GAP_RTOL * problem.yy and violation <= VIOLATION_RTOL:
            return gamma_A
        gamma_A = _sweep(problem, gamma_A, slope_A)
    raise RunFailedError(
        f"coordinate descent did not converge in {_MAX_ROUNDS * _SWEEPS_PER_ROUND} sweeps: "
        f"relative duality gap {gap / problem.yy:.2g} (wanted {GAP_RTOL:g}), "
        f"optimality violated by {violation:.2g} (wanted "
        f"{VIOLATION_RTOL:g}); columns are almost collinear: add some l2, or leave columns out"
    )


def relative_violation(problem: LassoProblem, gamma_A: Array) -> float:
    """Return by how much the optimality conditions are missed, relative to the largest |c|."""
    if len(gamma_A) == 0:
        return 0.0
    return _certificates(problem, gamma_A, problem.c - problem.gram @ gamma_A)[1]


def _certificates(problem: LassoProblem, gamma_A: Array, slope_A: Array) -> tuple[float, float]:
    """Return the duality gap and the relative violation of the optimality conditions.

    With g = c - (G + L2)γ, R the penalised residual mean square and s = min(1, min l1_j/|g_j|), the dual
    point s·residual gives gap = ½ R (1 - s)² + Σ (l1_j |γ_j| - s γ_j g_j). Written so, nothing cancels near
    the optimum.
    """
    ridge_A = problem.l2 * gamma_A
    g_A = slope_A - ridge_A
    size_A = np.abs(g_A)
    excess_A = size_A - problem.l1
    on_A = gamma_A != 0
    violation = np.where(on_A, np.abs(g_A - problem.l1 * np.sign(gamma_A)), np.maximum(excess_A, 0.0)).max()
    over_A = (excess_A > 0) & (problem.l1 > 0)
    s = float((problem.l1[over_A] / size_A[over_A]).min(initial=1.0))
    residual = max(float(problem.yy - gamma_A @ (problem.c + slope_A) + gamma_A @ ridge_A), 0.0)
    gap = 0.5 * residual * (1 - s) ** 2 + float(problem.l1 @ np.abs(gamma_A) - s * (gamma_A @ g_A))
    return gap, float(violation / (np.abs(problem.c).max() or 1.0))


def _exact_on_signs(problem: LassoProblem, gamma_A: Array) -> Array:
    """Return the minimiser for the present set and signs, or for those left when signs had to change.

    On the way from γ to the solution z of (G + L2) z = c - l1·sign, restricted to the set, the objective
    falls; the first coefficient that would cross zero leaves the set there, and the rest is solved again.
    """
    for _ in range(_MAX_SIGN_CHANGES):
        on: NDArray[np.intp] = np.flatnonzero(gamma_A)
        if not 0 < len(on) <= _MAX_EXACT_SET:
            return gamma_A
        now = gamma_A[on]
        matrix = problem.gram[on[:, None], on]
        matrix.flat[:: len(on) + 1] += problem.l2[on]
        _, z, info = sl.lapack.dposv(matrix, problem.c[on] - problem.l1[on] * np.sign(now))
        if info != 0:
            return gamma_A
        crossing = now * z <= 0
        gamma_A = np.zeros_like(gamma_A)
        if not crossing.any():
            gamma_A[on] = z
            return gamma_A
        steps = now[crossing] / (now[crossing] - z[crossing])
        moved = now + steps.min() * (z - now)
        moved[np.flatnonzero(crossing)[steps == steps.min()]] = 0.0
        gamma_A[on] = moved
    return gamma_A


def _sweep(problem: LassoProblem, gamma_A: Array, slope_A: Array) -> Array:
    """Return γ after coordinate-descent sweeps over the set and whatever violates its condition.

    ``slope_A`` = c - Gγ is kept up to date: an update costs one row of G, and only for a coefficient that
    changes.
    """
    gamma_A = gamma_A.copy()
    curvature = (problem.gram.diagonal() + problem.l2).tolist()
    l1, l2 = problem.l1.tolist(), problem.l2
    candidates = np.flatnonzero((gamma_A != 0) | (np.abs(slope_A) > problem.l1)).tolist()
    for _ in range(_SWEEPS_PER_ROUND):
        for j in candidates:
            old = float(gamma_A[j])
            raw = float(slope_A[j]) + (curvature[j] - float(l2[j])) * old
            shrunk = abs(raw) - l1[j]
            new = 0.0 if shrunk <= 0 else (shrunk if raw > 0 else -shrunk) / curvature[j]
            if new != old:
                gamma_A[j] = new
                slope_A -= (new - old) * problem.gram[j]
    return gamma_A
