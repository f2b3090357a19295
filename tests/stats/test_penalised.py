from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.preprocessing import StandardScaler
from stats_blocks import moments_of

from linreg_dist.errors import SpecError
from linreg_dist.stats.inference import Refusal, infer
from linreg_dist.stats.lasso import VIOLATION_RTOL, LassoProblem, minimise, relative_violation
from linreg_dist.stats.penalised import Penalty, penalised_path, penalty_grid, solve_penalised


def problem(n=400, p=8, k=1, seed=0, scales=True, correlation=0.5):
    rng = np.random.default_rng(seed)
    x = np.sqrt(1 - correlation) * rng.normal(size=(n, p)) + np.sqrt(correlation) * rng.normal(size=(n, 1))
    x = x * (rng.uniform(0.5, 5, size=p) if scales else 1) + 2
    coef = rng.normal(size=(p, k)) * (rng.random((p, k)) < 0.5)
    return x, x @ coef + 1 + rng.normal(size=(n, k))


def elastic_net(x, y, penalty, w=None, fit_intercept=True):
    alpha = penalty.l1 + penalty.l2
    model = ElasticNet(
        alpha=alpha, l1_ratio=penalty.l1 / alpha, tol=1e-14, max_iter=100_000, fit_intercept=fit_intercept
    )
    return model.fit(x, y, sample_weight=w)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("penalty", [Penalty(0.1, 0), Penalty(0.5, 0.5), Penalty(0.01, 3), Penalty(1e-4, 0)])
def test_elastic_net_equals_scikit_learn(penalty, fit_intercept):
    x, y = problem()
    want = elastic_net(x, y[:, 0], penalty, fit_intercept=fit_intercept)
    got = solve_penalised(moments_of(x, y), penalty, fit_intercept=fit_intercept, standardize=False)
    np.testing.assert_allclose(got.coef[0], want.coef_, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(got.intercept[0], want.intercept_, rtol=1e-7, atol=1e-9)
    assert got.relative_gradient.max() < VIOLATION_RTOL
    assert got.rank == np.count_nonzero(want.coef_)


def test_weighted_standardised_elastic_net_equals_a_scaler_before_scikit_learn():
    x, y = problem()
    w = np.random.default_rng(1).uniform(0.2, 2, size=len(x))
    scaler = StandardScaler().fit(x, sample_weight=w)
    want = elastic_net(scaler.transform(x), y[:, 0], Penalty(0.2, 0.1), w)
    got = solve_penalised(moments_of(x, y, w), Penalty(0.2, 0.1), standardize=True)
    np.testing.assert_allclose(got.coef[0], want.coef_ / scaler.scale_, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.3, 0.0])
def test_every_point_of_a_path_equals_its_own_fit(l1_ratio):
    x, y = problem(k=2)
    moments = moments_of(x, y)
    grid = penalty_grid(moments, l1_ratio=l1_ratio, num=12)
    path = penalised_path(moments, grid)
    for i, penalty in enumerate(grid):
        single = solve_penalised(moments, penalty)
        np.testing.assert_allclose(path.coef[i], single.coef, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(path.intercept[i], single.intercept, rtol=1e-8, atol=1e-10)


def test_a_path_keeps_the_order_asked_for():
    x, y = problem()
    moments = moments_of(x, y)
    penalties = [Penalty(0.01, 0), Penalty(0, 1.0), Penalty(0.5, 0), Penalty(0, 0), Penalty(0.1, 2.0)]
    path = penalised_path(moments, penalties)
    backwards = penalised_path(moments, penalties[::-1])
    np.testing.assert_allclose(path.coef, backwards.coef[::-1], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("standardize", [True, False])
def test_a_grid_starts_where_every_coefficient_is_just_zero(standardize, l1_ratio):
    x, y = problem()
    moments = moments_of(x, y)
    first, second, *_ = penalty_grid(moments, l1_ratio=l1_ratio, num=50, standardize=standardize)
    path = penalised_path(moments, [first, second], standardize=standardize)
    assert not path.coef[0].any()
    assert path.coef[1].any()


@pytest.mark.parametrize("scales", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_ridge_path_equals_scikit_learn_also_for_columns_of_very_different_scale(fit_intercept, scales):
    x, y = problem(k=2)
    x = x * np.geomspace(1e-4, 1e4, x.shape[1]) if scales else x
    l2s = [0.0, 1e-4, 0.1, 50.0]
    path = penalised_path(
        moments_of(x, y), [Penalty(0, l2) for l2 in l2s], fit_intercept=fit_intercept, standardize=False
    )
    for i, l2 in enumerate(l2s[1:], 1):
        want = Ridge(alpha=len(x) * l2, fit_intercept=fit_intercept, solver="svd").fit(x, y)
        np.testing.assert_allclose(path.coef[i], want.coef_, rtol=1e-7)


def test_ridge_by_eigendecomposition_equals_the_factorisation_of_each():
    x, y = problem(p=20)
    moments = moments_of(x, y)
    penalties = [Penalty(0, l2) for l2 in np.geomspace(1e-6, 1e2, 30)]
    path = penalised_path(moments, penalties)
    for i, penalty in enumerate(penalties):
        np.testing.assert_allclose(path.coef[i], solve_penalised(moments, penalty).coef, 1e-10, 1e-12)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(2, 60),
    p=st.integers(1, 30),
    share=st.floats(0.01, 0.99),
    l2=st.sampled_from([0.0, 0.01, 1.0]),
    correlation=st.sampled_from([0.0, 0.9, 0.99]),
)
def test_the_minimiser_satisfies_its_optimality_conditions(seed, n, p, share, l2, correlation):
    x, y = problem(n, p, seed=seed, scales=False, correlation=correlation)
    x, y = x - x.mean(0), (y - y.mean(0))[:, 0]
    gram, c = x.T @ x / n, x.T @ y / n
    l1 = np.full(p, share * np.abs(c).max())
    gamma = minimise(LassoProblem(gram, c, y @ y / n, l1, np.full(p, l2)), np.zeros(p))
    slope = c - gram @ gamma - l2 * gamma
    tolerance = 1e-9 * np.abs(c).max()
    assert (np.abs(slope) <= l1 + tolerance).all()
    assert (np.abs(slope - l1 * np.sign(gamma))[gamma != 0] <= tolerance).all()


def test_a_bad_start_does_not_change_the_answer():
    x, y = problem(p=20)
    x, y = x - x.mean(0), (y - y.mean(0))[:, 0]
    n = len(x)
    data = LassoProblem(x.T @ x / n, x.T @ y / n, y @ y / n, np.full(20, 0.05), np.zeros(20))
    want = minimise(data, np.zeros(20))
    start = np.random.default_rng(2).normal(size=20) * 100
    np.testing.assert_allclose(minimise(data, start), want, rtol=1e-9, atol=1e-12)
    assert relative_violation(data, start) > 1


def test_duplicated_columns_still_reach_the_minimum():
    x, y = problem(p=4)
    doubled = np.column_stack([x, x])
    penalty = Penalty(0.1, 0)
    single = solve_penalised(moments_of(x, y), penalty, standardize=True)
    double = solve_penalised(moments_of(doubled, y), penalty, standardize=True)
    np.testing.assert_allclose(double.coef[:, :4] + double.coef[:, 4:], single.coef, rtol=1e-7, atol=1e-9)


def test_constant_columns_and_targets_get_zero():
    x, y = problem(p=3)
    x[:, 1] = 4.0
    got = solve_penalised(moments_of(x, np.column_stack([y, np.ones(len(x))])), Penalty(0.01, 0.01))
    assert got.coef[0, 1] == 0
    assert not got.coef[1].any()
    assert got.coef[0, [0, 2]].all()


def test_only_constant_columns_give_the_mean():
    _, y = problem()
    moments = moments_of(np.ones((len(y), 2)), y)
    path = penalised_path(moments, [Penalty(0.1, 0), Penalty(0, 0.1)])
    assert not path.coef.any()
    np.testing.assert_allclose(path.intercept, y.mean())
    assert penalty_grid(moments, l1_ratio=1.0, num=1) == (Penalty(1.0, 0.0),)


def test_a_penalised_fit_has_no_standard_errors():
    x, y = problem()
    assert isinstance(infer(solve_penalised(moments_of(x, y), Penalty(0.1, 0))), Refusal)


def test_a_subset_of_columns_equals_a_fit_on_that_subset():
    x, y = problem(k=2)
    got = solve_penalised(moments_of(x, y), Penalty(0.1, 0.1), features=["x3", "x0"], targets=["y1"])
    want = solve_penalised(moments_of(x[:, [3, 0]], y[:, [1]]), Penalty(0.1, 0.1))
    np.testing.assert_allclose(got.coef, want.coef, rtol=1e-10)


@pytest.mark.parametrize(("l1", "l2"), [(-1, 0), (0, -1), (float("nan"), 0), (0, float("inf"))])
def test_a_penalty_that_is_none_is_refused(l1, l2):
    with pytest.raises(SpecError, match="penalties must be"):
        Penalty(l1, l2)


@pytest.mark.parametrize("wrong", [{"l1_ratio": 2}, {"num": 0}, {"smallest": 0.0}])
def test_a_grid_that_is_none_is_refused(wrong):
    with pytest.raises(SpecError, match="a penalty grid needs"):
        penalty_grid(moments_of(*problem()), **{"l1_ratio": 0.5, **wrong})
