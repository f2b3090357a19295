from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.kernels.sweep import CONTROL_SIZE, TAKEN, run_steps
from linreg_dist.kernels.units import cut_units
from linreg_dist.kernels.update import NO_RULE
from tests.kernels.pieces import Problem, problems


def swept(problem: Problem, *, epsilon: float | None = None, num_threads: int = 1) -> np.ndarray:
    """Σw, loss (K), squared (K), Σ w ψ (K), Σ w x ψ (K, D), flat."""
    targets, width = problem.coef_KD.shape
    pieces = problem.pieces()
    step_ptr, unit_ptr = np.array([0, len(pieces)]), np.zeros(2, dtype=np.int64)
    none = np.empty((0, 4), dtype=np.int64)
    size = width + targets
    count = cut_units(pieces, step_ptr, size, problem.dtype.itemsize, none, unit_ptr)
    units = np.empty((max(count, 1), 4), dtype=np.int64)
    cut_units(pieces, step_ptr, size, problem.dtype.itemsize, units, unit_ptr)
    plane = (problem.coef_KD, problem.intercept_K, np.full(targets, epsilon or 0.0))
    narrow = tuple(part.astype(problem.dtype) for part in plane)
    control, sums = np.zeros(CONTROL_SIZE, dtype=np.int64), np.zeros(1 + targets * (3 + width))
    f, k = np.zeros(targets * (width + 1)), np.zeros(targets)
    state = (f, f, f, f, f, np.zeros(2, np.int64), np.zeros(1 + targets), (np.zeros(width),) * 2 + (k, k), k)
    rule = (NO_RULE, 0.0, 0.0, 0, 1, 0)
    parts = np.full((max(count, 1), sums.size), np.nan)
    arguments = (control, pieces, units, unit_ptr, plane, narrow, epsilon is not None)
    more = (bool((units[:count, 2] < 0).any()), parts, sums, rule, state, np.zeros(1))
    with ThreadPoolExecutor(num_threads) as pool:
        for done in [pool.submit(run_steps, *arguments, *more) for _ in range(num_threads)]:
            done.result()
    assert control[TAKEN] == (1 if count else 0)
    return sums


def expected(problem: Problem, epsilon: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The same by numpy in float64, and the sums of absolute values, which rounding is measured by."""
    r, w, x = problem.residual_KN(), problem.weights_N(), problem.x_DN.astype(np.float64)
    psi = r if epsilon is None else r.clip(-epsilon, epsilon)
    loss = w * psi * (r - psi / 2)
    parts = [[w.sum()], loss.sum(1), (w * r * r).sum(1), (w * psi).sum(1), ((w * psi) @ x.T).ravel()]
    size = np.abs(problem.coef_KD) @ np.abs(x) + np.abs(problem.intercept_K)[:, None] + 1.0 + np.abs(r)
    sizes = [[w.sum()], (w * size**2).sum(1), (w * size**2).sum(1), (w * size).sum(1)]
    return np.concatenate(parts), np.concatenate([*sizes, ((w * size) @ np.abs(x).T).ravel()])


@given(problem=problems(), epsilon=st.none() | st.floats(0.1, 2.0))
@settings(max_examples=80, deadline=None)
def test_sums_are_those_of_numpy_in_float64(problem, epsilon):
    want, size = expected(problem, epsilon)
    got = swept(problem, epsilon=epsilon)
    assert (np.abs(got - want) <= problem.rtol * size + 1e-300).all()


@given(problem=problems(), epsilon=st.none() | st.just(0.7), skip=st.integers(1, 15))
@settings(max_examples=40, deadline=None)
def test_the_bits_do_not_depend_on_alignment_or_threads(problem, epsilon, skip):
    want = swept(problem, epsilon=epsilon)
    assert swept(problem.moved(skip), epsilon=epsilon).tobytes() == want.tobytes()
    assert swept(problem, epsilon=epsilon, num_threads=3).tobytes() == want.tobytes()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_stays_visible(bad):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 700)).astype(np.float32)
    x[2, 333] = bad
    y = rng.normal(size=(1, 700)).astype(np.float32)
    problem = Problem(x, y, None, np.ones((1, 5)), np.zeros(1), [100])
    assert not np.isfinite(swept(problem)[2])


@pytest.mark.parametrize("width", [33, 300, 5000])
def test_wide_rows_are_swept_in_smaller_tiles(width):
    rng = np.random.default_rng(1)
    rows = 400
    problem = Problem(
        rng.normal(size=(width, rows)).astype(np.float32),
        rng.normal(size=(2, rows)).astype(np.float32),
        rng.uniform(size=rows).astype(np.float32),
        rng.normal(size=(2, width)).astype(np.float32).astype(np.float64),
        np.zeros(2),
        [30, 60],
    )
    want, size = expected(problem, None)
    assert (np.abs(swept(problem) - want) <= 1e-5 * size).all()
