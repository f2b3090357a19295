"""Normal equations in double-double against rational arithmetic on the same float64 rows."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from linreg_dist.stats.digits.double_double import Double
from linreg_dist.stats.digits.refinement import GradientSums, NormalSums, cholesky, solve_normal


def rational(x: np.ndarray, y: np.ndarray, w: np.ndarray | None, penalty: np.ndarray) -> list[Fraction]:
    """Solve (X'WX + diag(penalty)) β = X'Wy without any rounding."""
    rows = [[Fraction(float(value)) for value in row] for row in x]
    right = [Fraction(float(value)) for value in y]
    weight = [Fraction(1) if w is None else Fraction(float(w[i])) for i in range(len(rows))]
    size = len(rows[0])
    system = [
        [sum(u * r[i] * r[j] for u, r in zip(weight, rows, strict=True)) for j in range(size)]
        + [sum(u * r[i] * t for u, r, t in zip(weight, rows, right, strict=True))]
        for i in range(size)
    ]
    for i in range(size):
        system[i][i] += Fraction(float(penalty[i]))
    for i in range(size):
        for r in range(size):
            if r != i:
                factor = system[r][i] / system[i][i]
                system[r] = [a - factor * b for a, b in zip(system[r], system[i], strict=True)]
    return [system[i][size] / system[i][i] for i in range(size)]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("l2", [0.0, 1e-9])
def test_a_design_that_a_gram_matrix_cannot_see_through_is_solved(weighted: bool, l2: float) -> None:
    """The columns agree in eight digits, so their Gram matrix is singular in float64."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(1300, 1))
    x = np.concatenate([np.ones((1300, 1)), base, base + 1e-8 * rng.normal(size=(1300, 2))], axis=1)
    y = x @ np.array([[0.5, -1.0], [1.0, 2.0], [3.0, 5.0], [-4.0, 1.0]]) + rng.normal(size=(1300, 2))
    w = rng.uniform(0.5, 2.0, size=1300) if weighted else None
    penalty = np.array([0.0, l2, l2, l2])
    normal = NormalSums.empty(4, 2, has_ones=True)
    for rows in (slice(0, 700), slice(700, 1300)):
        part = NormalSums.empty(4, 2, has_ones=True)
        part.accumulate(x[rows, 1:], y[rows], None if w is None else w[rows])
        normal.merge(part)
    r = cholesky(normal.sums[:, :4], penalty)
    assert r is not None
    beta = solve_normal(r, normal.sums[:, 4:])
    at = GradientSums.empty(beta, has_ones=True)
    at.accumulate(x[:, 1:], y, w)
    beta += solve_normal(r, at.gradient - Double.of(penalty[:, None] * beta.hi))
    for k in range(2):
        exact = rational(x, y[:, k], w, penalty)
        np.testing.assert_allclose(beta.hi[:, k], [float(value) for value in exact], rtol=1e-15)
        rest = [
            Fraction(float(t)) - sum(Fraction(float(v)) * b for v, b in zip(row, exact, strict=True))
            for row, t in zip(x, y[:, k], strict=True)
        ]
        weight = [1.0] * 1300 if w is None else w
        total = sum(Fraction(float(u)) * e * e for u, e in zip(weight, rest, strict=True))
        assert at.residual.hi[k] == pytest.approx(float(total), rel=1e-14)


def test_columns_that_are_the_same_are_dependent() -> None:
    x = np.random.default_rng(0).normal(size=(100, 1))
    sums = NormalSums.empty(2, 1, has_ones=False)
    sums.accumulate(np.concatenate([x, x], axis=1), x, None)
    assert cholesky(sums.sums[:, :2], np.zeros(2)) is None
    assert cholesky(sums.sums[:, :2], np.ones(2)) is not None
