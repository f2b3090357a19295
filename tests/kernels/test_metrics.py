from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.kernels.metrics import count_residuals, error_sums
from tests.kernels.pieces import Problem, problems


def errors_of(problem: Problem, center: float) -> np.ndarray:
    targets = len(problem.intercept_K)
    narrow = problem.coef_KD.astype(problem.dtype), problem.intercept_K.astype(problem.dtype)
    sums = np.full(1 + 4 * targets, np.nan)
    piece = np.array(problem.piece(0, problem.x_DN.shape[1]))
    error_sums(piece, *narrow, np.full(targets, center, dtype=problem.dtype), sums)
    return sums


@given(problem=problems(), center=st.sampled_from([0.0, 0.5]), skip=st.integers(1, 15))
@settings(max_examples=60, deadline=None)
def test_error_sums_are_those_of_numpy_and_do_not_depend_on_alignment(problem, center, skip):
    r, w, c = problem.residual_KN(), problem.weights_N(), problem.y_KN.astype(np.float64) - center
    parts = [(w * r * r).sum(1), (w * np.abs(r)).sum(1), (w * c).sum(1), (w * c * c).sum(1)]
    want = np.concatenate([[w.sum()], *parts])
    got = errors_of(problem, center)
    size = (w * (1 + r * r + c * c).sum(0)).sum() * (1 + np.abs(problem.coef_KD).sum())
    np.testing.assert_allclose(got, want, rtol=problem.rtol, atol=problem.rtol * size)
    assert errors_of(problem.moved(skip), center).tobytes() == got.tobytes()


@given(problem=problems(max_rows=1500), low=st.floats(0, 1), width=st.floats(0.01, 0.5))
@settings(max_examples=60, deadline=None)
def test_residuals_are_counted_by_size(problem, low, width):
    targets, rows = problem.y_KN.shape
    counts = np.zeros((targets, 10))
    narrow = problem.coef_KD.astype(problem.dtype), problem.intercept_K.astype(problem.dtype)
    piece = np.array(problem.piece(0, rows))
    largest = count_residuals(piece, *narrow, np.full(targets, low), np.full(targets, width), counts)
    size, w = np.abs(problem.residual_KN()), problem.weights_N()
    np.testing.assert_allclose(largest, size.max(1, initial=0.0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(counts.sum(1), w.sum(), rtol=1e-9)
    edges = low + width * np.arange(9)
    for k in range(targets):  # a residual at an edge may fall to either side of it
        for j, edge in enumerate(edges):
            below = counts[k, : j + 1].sum()
            assert below <= w[size[k] < edge + 1e-4].sum() + 1e-6
            assert below >= w[size[k] < edge - 1e-4].sum() - 1e-6
