from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler
from stats_blocks import factor_of, moments_of, with_ones

from linreg_dist.errors import DataError, SpecError
from linreg_dist.stats.moments import Moments
from linreg_dist.stats.solve import GRAM_CONDITION_LIMIT, solve

SOURCES = pytest.mark.parametrize("source_of", [moments_of, factor_of])


def problem(seed=0, n=500, p=6, k=1, noise=0.5, loc=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * rng.uniform(0.1, 100, size=p) + loc
    y = x @ rng.normal(size=(p, k)) + 3.0 + noise * rng.normal(size=(n, k))
    return x, y


def lstsq(x, y, fit_intercept=True):
    coef = np.linalg.lstsq(with_ones(x) if fit_intercept else x, y, rcond=None)[0]
    return (coef[1:].T, coef[0]) if fit_intercept else (coef.T, np.zeros(y.shape[1]))


def assert_coef(solution, coef, intercept=None, rtol=1e-9):
    assert np.abs(solution.coef - coef).max() <= rtol * np.abs(coef).max()
    if intercept is not None:
        np.testing.assert_allclose(solution.intercept, intercept, rtol=rtol, atol=rtol * np.abs(coef).max())


@SOURCES
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize(("n", "p", "k"), [(500, 6, 1), (40, 1, 1), (300, 70, 2), (1000, 3, 3)])
def test_coefficients_equal_lstsq(n, p, k, fit_intercept, source_of):
    x, y = problem(n=n, p=p, k=k, loc=1.0)
    solution = solve(source_of(x, y), fit_intercept=fit_intercept)
    assert_coef(solution, *lstsq(x, y, fit_intercept), rtol=1e-11)
    assert solution.rank == p
    assert solution.relative_gradient.max() < 1e-14
    assert solution.tsqr_reason is None


@SOURCES
def test_weights_equal_rows_scaled_by_their_root(source_of):
    x, y = problem()
    w = np.random.default_rng(1).uniform(0, 2, size=len(x))
    root = np.sqrt(w)[:, None]
    want = np.linalg.lstsq(with_ones(x) * root, y * root, rcond=None)[0]
    assert_coef(solve(source_of(x, y, w)), want[1:].T, want[0], rtol=1e-11)


@pytest.mark.parametrize("condition", [1e2, 1e3, 1e4])
def test_parity_with_lstsq_holds_up_to_condition_1e4_by_escalation(condition):
    rng = np.random.default_rng(2)
    n, p = 4000, 12
    left, right = np.linalg.qr(rng.normal(size=(n, p)))[0], np.linalg.qr(rng.normal(size=(p, p)))[0]
    x = (left * np.geomspace(1, 1 / condition, p)) @ right.T * np.sqrt(n)
    y = x @ rng.normal(size=(p, 1)) + 0.1 * rng.normal(size=(n, 1))
    solution = solve(moments_of(x, y))
    assert (solution.tsqr_reason is not None) == (solution.condition_number > GRAM_CONDITION_LIMIT)
    if solution.tsqr_reason:
        solution = solve(factor_of(x, y))
        assert solution.tsqr_reason is None
    assert_coef(solution, *lstsq(x, y), rtol=1e-9)


def test_condition_number_is_that_of_the_centred_and_scaled_design():
    x, y = problem(loc=1e3)
    want = np.linalg.cond((x - x.mean(0)) / x.std(0))
    assert solve(moments_of(x, y)).condition_number == pytest.approx(want, rel=1e-9)
    assert solve(factor_of(x, y)).condition_number == pytest.approx(want, rel=1e-9)


def test_the_condition_number_of_many_columns_is_estimated_closely_from_below():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(1500, 600))
    x[:, 1] += 30 * x[:, 0]
    want = np.linalg.cond((x - x.mean(0)) / x.std(0))
    got = solve(moments_of(x, rng.normal(size=1500))).condition_number
    assert 0.8 * want < got < 1.0001 * want


@SOURCES
def test_a_column_with_mean_a_million_times_its_deviation_in_float32_costs_nothing(source_of):
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(20_000, 3)) * 8 + [8e6, -8e6, 0]).astype(np.float32)
    y = (x.astype(float) @ np.array([[1.0], [2.0], [3.0]]) + rng.normal(size=(20_000, 1))).astype(np.float32)
    centred = x.astype(float) - x.astype(float).mean(0)
    want = np.linalg.lstsq(centred, y.astype(float) - y.astype(float).mean(0), rcond=None)[0].T
    assert_coef(solve(source_of(x, y)), want, rtol=1e-11)


@SOURCES
def test_duplicated_columns_share_the_coefficient_and_are_named(source_of):
    x, y = problem(p=3)
    doubled = np.column_stack([x, x[:, 1]])
    solution = solve(source_of(doubled, y, feature_names=["a", "b", "c", "b2"]))
    assert_coef(solution, LinearRegression().fit(doubled, y).coef_, rtol=1e-10)
    assert solution.rank == 3
    assert solution.condition_number == np.inf
    named = {frozenset([name, *related]) for name, related in solution.collinear.items()}
    assert named == {frozenset(["b", "b2"])}


@SOURCES
def test_a_dummy_trap_gives_the_least_norm_solution_and_names_one_level(source_of):
    rng = np.random.default_rng(4)
    level = rng.integers(0, 3, size=200)
    x = np.column_stack([np.eye(3)[level], rng.normal(size=200)])
    y = (level + x[:, 3] + rng.normal(size=200))[:, None]
    solution = solve(source_of(x, y))
    assert_coef(solution, LinearRegression().fit(x, y).coef_, rtol=1e-9)
    assert len(solution.collinear) == 1
    assert set(solution.collinear) <= {"x0", "x1", "x2"}


@SOURCES
def test_more_columns_than_rows_gives_the_least_norm_interpolation(source_of):
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(10, 25)), rng.normal(size=(10, 1))
    solution = solve(source_of(x, y, rows=4))
    assert solution.rank == 9
    assert len(solution.collinear) == 16
    assert_coef(solution, LinearRegression().fit(x, y).coef_, rtol=1e-8)
    np.testing.assert_allclose(x @ solution.coef.T + solution.intercept, y, atol=1e-10)


@SOURCES
def test_a_constant_column_gets_coefficient_zero_and_is_named(source_of):
    x, y = problem(p=2)
    padded = np.column_stack([x, np.full(len(x), 1 / 3)])
    solution = solve(source_of(padded, y, feature_names=["a", "b", "c"]))
    assert_coef(solution, np.column_stack([lstsq(x, y)[0], [[0.0]]]))
    assert solution.constant == ("c",)
    assert solution.collinear == {}


@SOURCES
def test_without_an_intercept_a_constant_column_is_a_feature_like_any_other(source_of):
    x, y = problem(p=2)
    padded = np.column_stack([x, np.ones(len(x)), np.zeros(len(x))])
    solution = solve(source_of(padded, y), fit_intercept=False)
    coef, intercept = lstsq(x, y)
    assert_coef(solution, np.column_stack([coef, intercept[:, None], [[0.0]]]), rtol=1e-11)
    assert solution.constant == ("x3",)


@SOURCES
def test_only_constant_columns_leave_the_mean_as_the_model(source_of):
    y = np.random.default_rng(6).normal(size=(20, 1))
    solution = solve(source_of(np.full((20, 2), 7.0), y))
    assert solution.coef.tolist() == [[0.0, 0.0]]
    assert solution.intercept[0] == pytest.approx(y.mean(), rel=1e-13)
    assert solution.residual_sum[0] == pytest.approx(((y - y.mean()) ** 2).sum(), rel=1e-13)


@SOURCES
def test_a_target_that_does_not_vary_gives_zero_coefficients_and_no_residual(source_of):
    x, _ = problem(p=2)
    solution = solve(source_of(x, np.full((len(x), 1), 0.1)))
    assert np.abs(solution.coef).max() == 0
    assert solution.intercept[0] == pytest.approx(0.1, rel=1e-15)
    assert (solution.residual_sum[0], solution.total_sum[0]) == (0.0, 0.0)


@SOURCES
def test_one_row_gives_its_own_value(source_of):
    solution = solve(source_of(np.array([[1.0, 2.0]]), np.array([[5.0]])))
    assert (solution.coef.tolist(), solution.intercept.tolist()) == ([[0.0, 0.0]], [5.0])


@SOURCES
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("l2", [1e-6, 0.1, 100.0])
def test_ridge_equals_scikit_learn_with_alpha_n_times_l2(l2, fit_intercept, source_of):
    x, y = problem(k=2)
    want = Ridge(alpha=len(x) * l2, fit_intercept=fit_intercept, solver="svd").fit(x, y)
    solution = solve(source_of(x, y), l2=l2, fit_intercept=fit_intercept)
    assert_coef(solution, want.coef_, want.intercept_, rtol=1e-10)
    assert solution.relative_gradient.max() < 1e-14


@SOURCES
def test_standardised_ridge_equals_a_standard_scaler_before_ridge(source_of):
    x, y = problem()
    w = np.random.default_rng(1).uniform(0.5, 2, size=len(x))
    scaler = StandardScaler().fit(x, sample_weight=w)
    want = Ridge(alpha=w.sum() * 0.3, solver="svd").fit(scaler.transform(x), y, sample_weight=w)
    assert_coef(solve(source_of(x, y, w), l2=0.3, standardize=True), want.coef_ / scaler.scale_, rtol=1e-10)


@SOURCES
def test_ridge_of_dependent_columns_is_regular(source_of):
    x, y = problem(p=3)
    doubled = np.column_stack([x, x])
    want = Ridge(alpha=len(x) * 0.1, solver="svd").fit(doubled, y).coef_
    solution = solve(source_of(doubled, y), l2=0.1)
    assert_coef(solution, want, rtol=1e-9)
    assert not solution.singular


@pytest.mark.parametrize("standardize", [False, True])
def test_the_least_norm_solution_is_the_limit_of_ridge(standardize):
    x, y = problem(p=3)
    doubled = np.column_stack([x, x[:, 0] * 50 - x[:, 1]])
    limit = solve(factor_of(doubled, y), l2=1e-9, standardize=standardize).coef
    assert_coef(solve(moments_of(doubled, y), standardize=standardize), limit, rtol=1e-5)


def test_an_almost_perfect_fit_asks_for_qr_which_keeps_the_residual():
    x, y = problem(noise=1e-6)
    want = np.linalg.lstsq(with_ones(x), y, rcond=None)[1]
    solution = solve(moments_of(x, y))
    assert "the fit leaves" in solution.tsqr_reason
    np.testing.assert_allclose(solve(factor_of(x, y)).residual_sum, want, rtol=1e-8)


def test_reasons_to_escalate_name_what_was_found():
    x, y = problem(p=2)
    near = x[:, [0]] + 1e-4 * x[:, [1]]
    assert solve(moments_of(np.column_stack([x, near]), y)).tsqr_reason.startswith(
        ("condition number", "1 feature(s) look like combinations")
    )
    singular = solve(moments_of(np.column_stack([x, x[:, 0]]), y)).tsqr_reason
    assert "1 feature(s) look like combinations of others" in singular


@SOURCES
def test_a_subset_of_columns_equals_a_fit_on_that_subset(source_of):
    x, y = problem(k=2)
    solution = solve(source_of(x, y), features=["x4", "x1"], targets=["y1"])
    assert_coef(solution, *lstsq(x[:, [4, 1]], y[:, [1]]), rtol=1e-11)
    assert solution.columns.feature_names == ("x4", "x1")


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), rows=st.integers(1, 60), p=st.integers(1, 5))
def test_the_answer_does_not_depend_on_how_rows_are_split(seed, rows, p):
    x, y = problem(seed, n=60, p=p)
    whole = solve(moments_of(x, y, rows=60))
    scale = np.abs(whole.coef).max()
    for source in (moments_of(x, y, rows=rows), factor_of(x, y, rows=rows)):
        assert np.abs(solve(source).coef - whole.coef).max() <= 1e-10 * scale


@pytest.mark.parametrize("l2", [-1.0, float("nan"), float("inf")])
def test_a_penalty_that_is_no_penalty_is_refused(l2):
    with pytest.raises(SpecError, match="l2 must be"):
        solve(moments_of(*problem()), l2=l2)


def test_no_rows_no_weight_and_no_features_are_refused():
    with pytest.raises(DataError, match="0 rows"):
        solve(Moments.empty(["a"], ["y"]))
    x, y = problem(n=5)
    with pytest.raises(DataError, match="5 rows with a total weight of 0"):
        solve(moments_of(x, y, np.zeros(5)))
    with pytest.raises(DataError, match="no features are left"):
        solve(moments_of(x, y), features=[])
