from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stats_blocks import blocks_of, factor_of, moments_of

from linreg_dist.errors import DataError
from linreg_dist.stats.moments import Moments
from linreg_dist.stats.solve import solve
from linreg_dist.stats.tsqr import RFactor, merged_factors


def problem(seed=0, n=200, p=4, k=2):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * [1, 100, 1e-3, 1][:p] + [0, 1e4, 0, -5][:p]
    return x, x[:, :1] + rng.normal(size=(n, k)), rng.uniform(0.1, 2, size=n)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), rows=st.integers(1, 60), weighted=st.booleans())
def test_the_factor_holds_the_moments_however_rows_are_split(seed, n, rows, weighted):
    x, y, w = problem(seed, n)
    w = w if weighted else None
    want, got = moments_of(x, y, w), factor_of(x, y, w, rows).to_moments()
    scale = np.sqrt(np.outer(want.cross.diagonal(), want.cross.diagonal())) + 1e-12
    assert (np.abs(got.cross - want.cross) / scale).max() < 1e-12
    np.testing.assert_allclose(got.mean, want.mean, rtol=1e-12, atol=1e-12)
    assert (got.n, got.n_zero_weight) == (want.n, want.n_zero_weight)
    assert [got.sum_w, got.sum_w2, got.sum_log_w] == pytest.approx([want.sum_w, want.sum_w2, want.sum_log_w])


def test_factors_with_different_shifts_merge():
    x, y, w = problem()
    parts = []
    for rows in (slice(0, 90), slice(90, 120), slice(120, None)):
        part = RFactor.empty(moments_of(x[rows], y[rows], w[rows]))
        for block in blocks_of(x[rows], y[rows], w[rows]):
            part.accumulate(*block)
        parts.append(part)
    whole = solve(factor_of(x, y, w))
    merged = solve(merged_factors(parts))
    np.testing.assert_allclose(merged.coef, whole.coef, rtol=1e-11)
    np.testing.assert_allclose(merged.intercept, whole.intercept, rtol=1e-11)
    np.testing.assert_allclose(merged.residual_sum, whole.residual_sum, rtol=1e-11)


def test_the_same_parts_in_the_same_order_give_the_same_bits_and_stay_unchanged():
    x, y, _ = problem()
    parts = [factor_of(x[i::3], y[i::3]) for i in range(3)]
    before = [part.r.copy() for part in parts]
    assert np.array_equal(merged_factors(parts).r, merged_factors(parts).r)
    for part, r in zip(parts, before, strict=True):
        assert np.array_equal(part.r, r)


def test_the_factor_is_upper_triangular_with_a_diagonal_that_is_not_negative():
    factor = factor_of(*problem())
    assert np.array_equal(factor.r, np.triu(factor.r))
    assert (factor.r.diagonal() >= 0).all()


def test_a_subset_of_columns_is_the_factor_of_that_subset():
    x, y, w = problem()
    got = factor_of(x, y, w).select(["x3", "x0"], ["y1"])
    want = factor_of(x[:, [3, 0]], y[:, [1]], w)
    np.testing.assert_allclose(got.r, want.r, rtol=1e-10, atol=1e-10)
    with pytest.raises(DataError, match="unknown: nope"):
        got.select(["nope"])


def test_what_moments_refuse_a_factor_refuses_and_stays_unchanged():
    x, y, _ = problem()
    factor = factor_of(x, y)
    before = factor.r.copy()
    x[3, 2] = np.nan
    with pytest.raises(DataError, match="NaN, infinite"):
        factor.accumulate(*next(blocks_of(x, y)))
    assert np.array_equal(factor.r, before)
    with pytest.raises(DataError, match="2 feature and 1 target names"):
        RFactor.empty(Moments.empty(["a", "b"], ["y"])).accumulate(*next(blocks_of(*problem()[:2])))


def test_different_columns_and_no_parts_do_not_merge():
    a, b = (RFactor.empty(Moments.empty([name], ["y"])) for name in "ab")
    with pytest.raises(DataError, match="QR factors of different columns"):
        a.merge(b)
    with pytest.raises(DataError, match="at least one part"):
        merged_factors([])
    with pytest.raises(DataError, match="0 rows"):
        solve(a)
