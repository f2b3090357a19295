from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stats_blocks import column_major

from linreg_dist.errors import DataError
from linreg_dist.stats.kernel import SLICE_BYTES, pilot_shift, shifted_sums, slice_rows
from linreg_dist.stats.moments import Moments, merged_moments


def make_block(rng, n, d, k=1, dtype=np.float64, weighted=False, loc=0.0):
    x = column_major((rng.normal(size=(n, d)) + loc).astype(dtype))
    y = column_major(rng.normal(size=(n, k)).astype(dtype))
    w = rng.uniform(0.1, 3.0, size=n) if weighted else None
    return x, y, w


def reference(x, y, w):
    """Two-pass moments in extended precision."""
    z = np.concatenate([x, y], axis=1).astype(np.longdouble)
    weight = np.ones(len(z), np.longdouble) if w is None else w.astype(np.longdouble)
    mean = (weight[:, None] * z).sum(0) / weight.sum()
    centred = z - mean
    return mean.astype(float), ((centred * weight[:, None]).T @ centred).astype(float)


def assert_close(moments: Moments, mean, cross, rtol=1e-13):
    np.testing.assert_allclose(moments.mean, mean, rtol=rtol, atol=1e-15 * (1 + np.abs(mean).max()))
    scale = np.sqrt(np.outer(np.diag(cross), np.diag(cross))) + 1e-12
    assert (np.abs(moments.cross - cross) / scale).max() <= rtol


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("n", "d", "k"), [(1, 3, 1), (7, 1, 2), (50_000, 3, 1), (9000, 70, 2), (2000, 150, 1)]
)
def test_block_moments_equal_two_pass_moments_in_extended_precision(n, d, k, dtype, weighted):
    block = make_block(np.random.default_rng(0), n, d, k, dtype, weighted)
    moments = Moments.from_block(*block)
    assert_close(moments, *reference(*block))
    assert moments.n == n
    assert moments.sum_w == pytest.approx(n if block[2] is None else block[2].sum(), rel=1e-14)


def test_a_slice_fits_the_scratch_budget_and_is_never_tiny():
    assert slice_rows(33) * 33 * 8 <= SLICE_BYTES
    assert slice_rows(100_000) == 256


def test_gram_is_symmetric_to_the_last_bit():
    x, y, w = make_block(np.random.default_rng(1), 5000, 130, weighted=True)
    gram, _ = shifted_sums(x, y, np.zeros(131), w)
    assert np.array_equal(gram, gram.T)


def test_row_major_input_gives_the_same_bits_as_column_major():
    x, y, _ = make_block(np.random.default_rng(2), 1000, 5)
    assert np.array_equal(
        Moments.from_block(x, y).cross, Moments.from_block(np.ascontiguousarray(x), y).cross
    )


@pytest.mark.parametrize("loc", [1e6, -1e9])
def test_a_mean_far_from_zero_costs_no_digits(loc):
    rng = np.random.default_rng(3)
    blocks = [make_block(rng, 4000, 4, loc=loc) for _ in range(5)]
    total = merged_moments([Moments.from_block(*b) for b in blocks])
    x, y = np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])
    assert_close(total, *reference(x, y, None), rtol=1e-12)


def test_sorted_data_whose_blocks_lie_far_apart_merge_exactly():
    rng = np.random.default_rng(4)
    blocks = [make_block(rng, 2000, 3, loc=1e5 * i) for i in range(8)]
    total = merged_moments([Moments.from_block(*b) for b in blocks])
    x, y = np.concatenate([b[0] for b in blocks]), np.concatenate([b[1] for b in blocks])
    assert_close(total, *reference(x, y, None), rtol=1e-12)


def test_a_constant_column_has_exactly_zero_variance_across_blocks():
    rng = np.random.default_rng(5)
    total = Moments.empty(["c", "x"], ["y"])
    for n in (100, 777, 3):
        x = np.stack([np.full(n, 0.1), rng.normal(size=n)], 1)
        total.merge(
            Moments.from_block(
                x, x[:, 1:], feature_names=total.feature_names, target_names=total.target_names
            )
        )
    assert total.cross[0].tolist() == [0.0, 0.0, 0.0]
    assert total.mean[0] == 0.1


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 40), min_size=3, max_size=3),
    locs=st.lists(st.floats(-1e4, 1e4), min_size=3, max_size=3),
    weighted=st.booleans(),
)
def test_merging_is_associative_and_equals_one_block(seed, sizes, locs, weighted):
    rng = np.random.default_rng(seed)
    blocks = [make_block(rng, n, 3, weighted=weighted, loc=loc) for n, loc in zip(sizes, locs, strict=True)]
    a, b, c = (Moments.from_block(*block) for block in blocks)
    left, right = a.merged(b).merged(c), a.merged(b.merged(c))
    x, y = np.concatenate([blk[0] for blk in blocks]), np.concatenate([blk[1] for blk in blocks])
    w = np.concatenate([blk[2] for blk in blocks]) if weighted else None
    whole = Moments.from_block(x, y, w)
    scale = np.abs(whole.cross).max() + 1e-300
    for got in (left, right):
        assert got.n == whole.n
        assert got.sum_w == pytest.approx(whole.sum_w, rel=1e-13)
        assert np.abs(got.cross - whole.cross).max() <= 1e-12 * scale
        assert np.allclose(got.mean, whole.mean, rtol=1e-13, atol=1e-11)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    kept=st.integers(1, 40),
    dropped=st.integers(0, 40),
    weighted=st.booleans(),
)
def test_subtracting_a_part_gives_the_rest(seed, kept, dropped, weighted):
    rng = np.random.default_rng(seed)
    rest = Moments.from_block(*make_block(rng, kept, 3, weighted=weighted))
    part = Moments.from_block(*make_block(rng, dropped, 3, weighted=weighted, loc=2.0))
    got = rest.merged(part).subtract(part)
    assert got.n == kept
    assert got.sum_w2 == pytest.approx(rest.sum_w2, abs=1e-10)
    assert got.sum_log_w == pytest.approx(rest.sum_log_w, abs=1e-10)
    np.testing.assert_allclose(got.cross, rest.cross, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(got.mean, rest.mean, rtol=1e-9, atol=1e-9)


def test_subtracting_everything_leaves_no_rows_and_a_zero_matrix():
    m = Moments.from_block(*make_block(np.random.default_rng(6), 10, 2))
    rest = m.subtract(m)
    assert (rest.n, rest.sum_w, np.abs(rest.cross).max()) == (0, 0.0, 0.0)


def test_subtracting_more_than_there_is_is_refused():
    rng = np.random.default_rng(7)
    small, large = (Moments.from_block(*make_block(rng, n, 2)) for n in (5, 9))
    with pytest.raises(DataError, match="cannot subtract 9 rows"):
        small.subtract(large)


def test_merge_changes_neither_side_and_in_place_merge_equals_it():
    rng = np.random.default_rng(8)
    a, b = (Moments.from_block(*make_block(rng, 10, 2)) for _ in range(2))
    before = a.cross.copy(), b.cross.copy()
    merged = a.merged(b)
    assert np.array_equal(a.cross, before[0])
    assert np.array_equal(b.cross, before[1])
    a.merge(b)
    assert np.array_equal(a.cross, merged.cross)
    assert np.array_equal(b.cross, before[1])


def test_merge_all_gives_the_same_bits_for_the_same_order():
    rng = np.random.default_rng(9)
    parts = [Moments.from_block(*make_block(rng, 30, 4)) for _ in range(7)]
    assert np.array_equal(merged_moments(parts).cross, merged_moments(parts).cross)
    with pytest.raises(DataError, match="at least one part"):
        merged_moments([])


def test_integer_weights_equal_repeated_rows():
    rng = np.random.default_rng(10)
    x, y, _ = make_block(rng, 50, 3)
    times = rng.integers(0, 4, size=50)
    weighted = Moments.from_block(x, y, times.astype(float))
    repeated = Moments.from_block(x.repeat(times, 0), y.repeat(times, 0))
    np.testing.assert_allclose(weighted.cross, repeated.cross, rtol=1e-13, atol=1e-13)
    assert weighted.sum_w == repeated.n
    assert weighted.n_zero_weight == int((times == 0).sum())


def test_pack_and_unpack_lose_nothing():
    m = Moments.from_block(*make_block(np.random.default_rng(11), 20, 3, 2, weighted=True))
    back = Moments.unpack(m.pack(), m.feature_names, m.target_names)
    assert np.array_equal(back.cross, m.cross)
    assert np.array_equal(back.mean, m.mean)
    assert (back.n, back.sum_w, back.sum_w2, back.sum_log_w) == (m.n, m.sum_w, m.sum_w2, m.sum_log_w)
    with pytest.raises(DataError, match="2 columns need"):
        Moments.unpack(m.pack(), ["a"], ["b"])


def test_select_takes_columns_by_name_in_the_order_given():
    x, y, _ = make_block(np.random.default_rng(12), 30, 4, 2)
    m = Moments.from_block(x, y, feature_names=list("abcd"), target_names=["u", "v"])
    got = m.select(["d", "a"], ["v"])
    want = Moments.from_block(x[:, [3, 0]], y[:, [1]])
    np.testing.assert_allclose(got.cross, want.cross, rtol=1e-13, atol=1e-13)
    assert got.feature_names == ("d", "a")
    with pytest.raises(DataError, match="unknown: z"):
        m.select(["z"])
    with pytest.raises(DataError, match="given twice"):
        m.select(["a", "a"])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e200])
def test_a_value_that_is_not_finite_is_refused_with_its_column(bad):
    x, y, _ = make_block(np.random.default_rng(13), 600, 3)
    x[301, 1] = bad
    with pytest.raises(DataError, match="values in height:"):
        Moments.from_block(x, y, feature_names=["a", "height", "c"], target_names=["t"])


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf"), 1e200])
def test_a_weight_that_is_not_allowed_is_refused(bad):
    x, y, w = make_block(np.random.default_rng(14), 10, 2, weighted=True)
    w[3] = bad
    with pytest.raises(DataError, match="row weights are"):
        Moments.from_block(x, y, w)


@pytest.mark.parametrize(
    ("x_shape", "y_shape", "w_shape"), [((4, 2), (5, 1), None), ((4,), (4, 1), None), ((4, 2), (4, 1), (3,))]
)
def test_shapes_that_do_not_fit_are_refused(x_shape, y_shape, w_shape):
    w = None if w_shape is None else np.ones(w_shape)
    with pytest.raises(DataError, match="got"):
        Moments.from_block(np.zeros(x_shape), np.zeros(y_shape), w)


def test_different_columns_do_not_merge():
    a, b = Moments.empty(["a"], ["y"]), Moments.empty(["b"], ["y"])
    with pytest.raises(DataError, match="not in both: a, b"):
        a.merged(b)


def test_a_block_without_rows_changes_nothing():
    m = Moments.from_block(*make_block(np.random.default_rng(15), 10, 2))
    before = m.clone()
    m.merge(
        Moments.from_block(
            np.zeros((0, 2)), np.zeros((0, 1)), feature_names=m.feature_names, target_names=m.target_names
        )
    )
    assert np.array_equal(m.cross, before.cross)
    assert m.n == 10


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("loc", [0.0, 30.0])
def test_parts_of_a_block_where_they_lie_have_the_moments_of_their_rows(weighted, dtype, loc):
    rng = np.random.default_rng(3)
    n = 3 * slice_rows(71)
    x, y, w = make_block(rng, n, 70, 1, dtype, weighted, loc)
    cuts = [0, *sorted(rng.choice(np.arange(1, n), 60, replace=False).tolist()), n]
    ranges = list(itertools.pairwise(cuts))
    parts = [ranges[::2], ranges[1::4], ranges[3::4], []]
    found = Moments.from_spans(x, y, w, parts)
    assert [moments.n for moments in found] == [sum(b - a for a, b in part) for part in parts]
    for moments, part in zip(found[:3], parts, strict=False):
        rows = np.concatenate([np.arange(a, b) for a, b in part])
        block = (x[rows], y[rows], None if w is None else w[rows])
        assert_close(moments, *reference(*block), rtol=1e-12)
        alone = Moments.from_block(*block)
        assert (moments.sum_w, moments.sum_w2) == pytest.approx((alone.sum_w, alone.sum_w2))
    assert_close(merged_moments(found), *reference(x, y, w), rtol=1e-12)


def test_without_large_means_nothing_is_subtracted_and_a_constant_is_still_exact():
    rng = np.random.default_rng(4)
    x, y, _ = make_block(rng, 5000, 3)
    assert not pilot_shift(x, y).any()
    x[:, 1] = 0.1
    shift = pilot_shift(x, y)
    assert shift[1] == 0.1
    assert Moments.from_block(x, y).cross[1, 1] == 0.0
    far = x + 3.0
    assert pilot_shift(far, y)[0] == pytest.approx(3.0, abs=0.3)
