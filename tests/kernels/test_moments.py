from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.kernels.calls import column_spreads, fold_rows
from tests.kernels.pieces import Problem, at_offset, problems

NONE = np.empty(0, dtype=np.int64)


def columns_of(problem: Problem, skip: int = 0) -> tuple[list[np.ndarray], np.ndarray | None]:
    """The columns and weights, each in memory of its own."""
    w_N = None if problem.w_N is None else at_offset(problem.w_N, skip)
    return [at_offset(column, skip) for column in (*problem.x_DN, *problem.y_KN)], w_N


@given(problem=problems(), shifted=st.booleans(), skip=st.integers(1, 15), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_the_fold_is_numpys_product_and_does_not_depend_on_where_the_columns_are(
    problem, shifted, skip, seed
):
    z = np.concatenate([problem.x_DN, problem.y_KN]).astype(np.float64)
    size, num_rows = z.shape
    shift_Z = z[:, :7].mean(1) if shifted and num_rows else np.zeros(size)
    rows = np.random.default_rng(seed).permutation(num_rows)
    first, end = sorted(rows[:2] if num_rows > 1 else [0, num_rows])
    columns, w_N = columns_of(problem)
    moved, moved_w_N = columns_of(problem, skip)
    for listed in (NONE, rows):
        gram, sums = fold_rows(columns, w_N, listed, first, end, shift_Z)
        chosen = (rows if len(listed) else np.arange(num_rows))[first:end]
        centred, w = z[:, chosen] - shift_Z[:, None], problem.weights_N()[chosen]
        bound = np.abs(centred * w) @ np.abs(centred).T
        assert (np.abs(gram - (centred * w) @ centred.T) <= 1e-13 * bound + 1e-300).all()
        np.testing.assert_allclose(sums, centred @ w, rtol=1e-12, atol=1e-12 * (1 + w.sum()))
        again = fold_rows(moved, moved_w_N, listed, first, end, shift_Z)
        assert (again[0].tobytes(), again[1].tobytes()) == (gram.tobytes(), sums.tobytes())


@given(problem=problems(), seed=st.integers(0, 9))
@settings(max_examples=30, deadline=None)
def test_rows_that_are_listed_give_the_bits_of_the_same_rows_side_by_side(problem, seed):
    num_rows = problem.x_DN.shape[1]
    rows = np.random.default_rng(seed).permutation(num_rows)[: max(1, num_rows // 2)] if num_rows else NONE
    columns, w_N = columns_of(problem)
    shift_Z = np.linspace(-1, 1, len(columns))
    listed = fold_rows(columns, w_N, rows, 0, len(rows), shift_Z)
    gathered = [np.ascontiguousarray(column[rows]) for column in columns]
    weights = None if w_N is None else np.ascontiguousarray(w_N[rows])
    together = fold_rows(gathered, weights, NONE, 0, len(rows), shift_Z)
    assert [part.tobytes() for part in listed] == [part.tobytes() for part in together]


def test_a_value_that_is_missing_shows_in_its_own_column():
    x = np.ones((3, 700), dtype=np.float32)
    x[1, 600] = np.nan
    gram, _ = fold_rows(list(x), None, NONE, 0, 700, np.zeros(3))
    assert np.isfinite(gram.diagonal()).tolist() == [True, False, True]
    rows = np.flatnonzero(np.arange(700) != 600)
    gram, sums = fold_rows(list(x), None, rows, 0, 699, np.zeros(3))
    assert (gram == 699).all()
    assert (sums == 699).all()


@given(problem=problems(), skip=st.integers(1, 15), far=st.sampled_from([0.0, 1e6]))
@settings(max_examples=60, deadline=None)
def test_the_spread_of_columns_is_numpys_and_does_not_depend_on_where_they_are(problem, skip, far):
    z_DN, w_N = problem.x_DN + problem.x_DN.dtype.type(far), problem.w_N
    wide, w = z_DN.astype(np.float64), problem.weights_N()
    weight, mean, squares = column_spreads(z_DN.T, w_N)
    np.testing.assert_allclose(weight, w.sum(), rtol=1e-13)
    if weight > 0.0:
        np.testing.assert_allclose(mean, np.average(wide, axis=1, weights=w), rtol=1e-13, atol=1e-13)
        around = wide - np.average(wide, axis=1, weights=w)[:, None]
        np.testing.assert_allclose(squares, (w * around**2).sum(1), rtol=1e-9, atol=1e-9)
    moved = at_offset(z_DN.ravel(), skip).reshape(z_DN.shape)
    again = column_spreads(moved.T, None if w_N is None else at_offset(w_N, skip))
    assert [weight, mean.tobytes(), squares.tobytes()] == [again[0], again[1].tobytes(), again[2].tobytes()]


@given(
    value=st.floats(-(2.0**100), 2.0**100, width=32), num_rows=st.integers(1, 9000), weighted=st.booleans()
)
@settings(max_examples=60, deadline=None)
def test_a_constant_column_has_no_spread_at_all(value, num_rows, weighted):
    w_N = np.random.default_rng(0).integers(0, 3, num_rows).astype(np.float32) if weighted else None
    weight, mean, squares = column_spreads(np.full((1, num_rows), value, np.float32).T, w_N)
    assert squares.tolist() == [0.0]
    assert mean.tolist() == [value if weight else 0.0]
