from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.data.block import Block
from linreg_dist.data.design.categorical import LevelCounts
from linreg_dist.data.design.numeric import NumberSum
from linreg_dist.data.rows import RowSelection
from linreg_dist.data.summary import BlockSummary, ColumnScan, MomentSums, RowCounts
from tests.data.reading import open_data_set
from tests.parquet import write_parquet


def block_of(x_ND, y_NK=None, w_N=None, num_train=None, dtype=np.float32) -> Block:
    n = len(x_ND)
    y_NK = np.zeros((n, 1)) if y_NK is None else y_NK
    x, y = (np.ascontiguousarray(z.T.astype(dtype)).T for z in (x_ND, y_NK))
    w = None if w_N is None else w_N.astype(dtype)
    return Block(x, y, w, n if num_train is None else num_train)


def summary_of(block: Block) -> BlockSummary:
    n = block.num_train
    selection = RowSelection(np.arange(n), np.arange(n, block.num_rows), 0, 0, {})
    return BlockSummary.of(block, selection, 0, block.num_rows)


def weighted_std(z, w):
    mean = np.average(z, axis=0, weights=w)
    return mean, np.sqrt(np.average((z - mean) ** 2, axis=0, weights=w))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (100_000, 4), (300, 700)])
def test_block_moments_equal_numpy(shape, weighted, dtype):
    rng = np.random.default_rng(0)
    x = rng.normal(2.0, 3.0, size=shape).astype(dtype)
    w = rng.uniform(0.5, 2.0, size=shape[0]).astype(dtype) if weighted else None
    summary = summary_of(block_of(x, x[:, :1], w, dtype=dtype))
    mean, std = weighted_std(x.astype(np.float64), None if w is None else w.astype(np.float64))
    tolerance = 1e-6 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(summary.x.mean, mean, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(summary.x.std, std, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(summary.y.std, std[:1], rtol=tolerance, atol=tolerance)


def test_only_training_rows_count():
    x = np.array([[1.0], [3.0], [1000.0]])
    summary = summary_of(block_of(x, num_train=2))
    assert (summary.x.weight, summary.x.mean[0], summary.x.std[0]) == (2.0, 2.0, 1.0)
    assert (summary.counts.train, summary.counts.validation) == (2, 1)


@pytest.mark.parametrize("scale", [1e-25, 1e-12, 1e12, 1e25])
def test_spread_survives_values_whose_squares_float32_cannot_hold(scale):
    z = np.random.default_rng(0).normal(size=(1000, 1))
    summary = summary_of(block_of(np.hstack([z * scale, z])))
    np.testing.assert_allclose(summary.x.std / [scale, 1.0], np.std(z), rtol=1e-5)


def test_a_constant_column_has_no_spread_under_any_weights():
    rng = np.random.default_rng(0)
    x = np.ones((50_000, 2)) * [1.0, 0.1]
    summary = summary_of(block_of(x, w_N=rng.uniform(0.0, 3.0, size=len(x))))
    assert (summary.x.std <= 1e-12).all()


def test_moments_keep_their_digits_where_the_mean_is_a_million_spreads():
    rng = np.random.default_rng(0)
    z = 1e6 + rng.normal(size=(10_000, 1))
    summary = summary_of(block_of(z, z, dtype=np.float64))
    np.testing.assert_allclose(summary.x.std, z.std(axis=0), rtol=1e-9)
    np.testing.assert_allclose(summary.x.mean, z.mean(axis=0), rtol=1e-14)


def test_rows_of_weight_zero_and_no_rows_change_nothing():
    x = np.array([[1.0], [5.0], [3.0]])
    summary = summary_of(block_of(x, w_N=np.array([1.0, 0.0, 1.0])))
    assert (summary.x.mean[0], summary.x.std[0], summary.x.weight) == (2.0, 1.0, 2.0)
    empty = BlockSummary.empty(1, 1)
    empty.merge(summary_of(block_of(np.zeros((0, 1)))))
    assert empty.x.weight == 0.0
    assert empty.x.std.tolist() == [0.0]
    empty.merge(summary)
    assert empty.x.mean[0] == 2.0


@given(
    cuts=st.lists(st.integers(0, 60), max_size=6),
    order=st.randoms(use_true_random=False),
    loc=st.sampled_from([0.0, 1.0, 1e6]),
)
def test_moments_merge_to_the_same_whole_in_any_grouping_and_order(cuts, order, loc):
    z = loc + np.random.default_rng(0).normal(size=(60, 2))
    w = np.random.default_rng(1).uniform(0.1, 2.0, size=60)
    edges = [0, *sorted(cuts), 60]
    parts = [summary_of(block_of(z[a:b], w_N=w[a:b], dtype=np.float64)) for a, b in pairwise(edges)]
    order.shuffle(parts)
    whole = BlockSummary.empty(2, 1)
    for part in parts:
        whole.merge(part)
    mean, std = weighted_std(z, w)
    np.testing.assert_allclose(whole.x.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(whole.x.std, std, rtol=1e-9)
    assert whole.counts.train == 60


def test_merging_does_not_change_the_other_part():
    other = MomentSums(2.0, np.array([1.0]), np.array([4.0]))
    total = MomentSums.zeros(1)
    total.merge(other)
    total.merge(other)
    assert (other.weight, other.mean[0], other.m2[0]) == (2.0, 1.0, 4.0)
    assert (total.weight, total.mean[0], total.m2[0]) == (4.0, 1.0, 8.0)


def counts_of(group: int, **missing: int) -> RowCounts:
    counts = RowCounts()
    counts.add(RowSelection(np.arange(3), np.arange(2), 4, 1, missing), group, 10)
    return counts


def test_row_counts_add_up_and_remember_the_first_row_group_affected():
    total = counts_of(5, x=2, y=1)
    total.merge(counts_of(3, x=1))
    total.merge(counts_of(9, y=4, z=1))
    assert (total.read, total.train, total.validation, total.filtered, total.missing_rows) == (
        30,
        9,
        6,
        12,
        3,
    )
    assert total.missing == Counter(x=3, y=5, z=1)
    assert total.first_missing == {"x": 3, "y": 5, "z": 9}


def test_a_level_scan_counts_training_rows_and_knows_levels_that_only_validate(tmp_path):
    columns = {
        "s": ["a", "b", None, "a", "c", "c"],
        "x": [1.0, 2.0, 3.0, np.nan, 5.0, 6.0],
        "n": [1, 2, 3, 4, 5, 6],
        "held": [0, 0, 0, 0, 1, 0],
        "y": np.zeros(6),
    }
    write_parquet(tmp_path / "a.parquet", columns, row_group_size=4)
    columns["s"] = ["z", "a", "a", "b", "z", "a"]
    columns["held"] = [1, 0, 0, 0, 1, 0]
    write_parquet(tmp_path / "b.parquet", columns)
    opened = open_data_set(
        tmp_path,
        missing="mean",
        features=["s", "x", "n"],
        validation={"method": "column", "column": "held"},
    )
    parts = []
    for (group, _, decoded), (_, selection) in zip(opened.tables(), opened.selections(), strict=True):
        parts.append(ColumnScan.of(decoded, selection, opened.columns.kinds, group.index, "here"))
    for ordered in (parts, parts[::-1]):
        total = ColumnScan()
        for part in ordered:
            total.merge(part)
        assert total.found == {
            "s": LevelCounts(Counter({"a": 5, "b": 2, "c": 1, "z": 0})),
            "x": NumberSum(1 + 2 + 3 + 6 + 2 + 3 + 6, 7),
            "n": NumberSum(16 + 15, 9),
        }
        assert total.counts.missing == Counter(s=1, x=2)


@pytest.mark.parametrize("weighted", [False, True])
def test_native_kernels_find_the_same_means_and_spreads(weighted):
    rng = np.random.default_rng(3)
    x, y = rng.normal(5.0, 2.0, size=(9_000, 3)), rng.normal(size=(9_000, 2))
    w = rng.integers(0, 3, size=9_000).astype(float) if weighted else None
    plain = block_of(x, y, w, num_train=8_000)
    mine, theirs = summary_of(replace(plain, native=True)), summary_of(plain)
    assert mine.counts == theirs.counts
    for native, numpy in ((mine.x, theirs.x), (mine.y, theirs.y)):
        assert native.weight == numpy.weight
        np.testing.assert_allclose(native.mean, numpy.mean, rtol=1e-12)
        np.testing.assert_allclose(native.std, numpy.std, rtol=1e-12)
