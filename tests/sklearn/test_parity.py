"""The estimator's coefficients are those of scikit-learn's linear models, and of statsmodels for Huber."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet, LinearRegression, Ridge
from sklearn.preprocessing import StandardScaler

from linreg_dist.sklearn import DistributedLinearRegression

N, D, K = 400, 5, 3
_rng = np.random.default_rng(0)
X = _rng.normal(size=(N, D)) * [1.0, 0.1, 20.0, 3.0, 1.0] + [0.0, 1.0, -50.0, 0.0, 5.0]
COEF = np.array([1.0, -20.0, 0.1, 0.0, 2.0])
y = X @ COEF + 4.0 + _rng.normal(size=N)
Y = np.column_stack([y, X[:, 0] - y, _rng.normal(size=N)])
WEIGHT = _rng.integers(1, 5, N).astype(float)

TARGETS = {"one target": y, "one target in two dimensions": y[:, None], "three targets": Y}

each_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
weighted_or_not = pytest.mark.parametrize("weight", [None, WEIGHT], ids=["unweighted", "weighted"])
with_and_without_intercept = pytest.mark.parametrize("fit_intercept", [True, False])


def assert_same_fit(ours: Any, theirs: Any, rtol: float) -> None:
    """The same coefficients, intercepts and predictions, in the same shapes."""
    assert ours.coef_.shape == theirs.coef_.shape
    assert np.shape(ours.intercept_) == np.shape(theirs.intercept_)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=rtol, atol=rtol * np.abs(theirs.coef_).max())
    np.testing.assert_allclose(ours.intercept_, theirs.intercept_, rtol=rtol, atol=rtol)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=rtol, atol=rtol)


@each_target
@weighted_or_not
@with_and_without_intercept
def test_no_penalty_is_linear_regression(
    target: np.ndarray[Any, Any], weight: np.ndarray[Any, Any] | None, fit_intercept: bool
) -> None:
    ours = DistributedLinearRegression(fit_intercept=fit_intercept).fit(X, target, weight)
    theirs = LinearRegression(fit_intercept=fit_intercept).fit(X, target, weight)
    assert_same_fit(ours, theirs, rtol=1e-9)
    assert ours.score(X, target, weight) == pytest.approx(theirs.score(X, target, weight), rel=1e-9)
    assert not hasattr(ours, "n_iter_")


@weighted_or_not
@with_and_without_intercept
def test_l2_is_ridge_with_alpha_n_times_l2(weight: np.ndarray[Any, Any] | None, fit_intercept: bool) -> None:
    sum_w = N if weight is None else weight.sum()
    ours = DistributedLinearRegression(l2=0.3, standardize=False, fit_intercept=fit_intercept)
    theirs = Ridge(alpha=sum_w * 0.3, fit_intercept=fit_intercept)
    assert_same_fit(ours.fit(X, Y, weight), theirs.fit(X, Y, weight), rtol=1e-9)


def test_by_default_a_penalty_acts_on_standardised_features() -> None:
    scaler = StandardScaler().fit(X)
    theirs = Ridge(alpha=N * 0.3).fit(scaler.transform(X), y)
    ours = DistributedLinearRegression(l2=0.3).fit(X, y)
    np.testing.assert_allclose(ours.coef_ * scaler.scale_, theirs.coef_, rtol=1e-9)


@weighted_or_not
def test_l1_and_l2_are_elastic_net(weight: np.ndarray[Any, Any] | None) -> None:
    ours = DistributedLinearRegression(l1=0.4, l2=0.1, standardize=False).fit(X, y, weight)
    theirs = ElasticNet(alpha=0.5, l1_ratio=0.8, tol=1e-13, max_iter=100_000).fit(X, y, weight)
    assert_same_fit(ours, theirs, rtol=1e-7)
    assert (ours.coef_ == 0).any()


@weighted_or_not
def test_zero_and_whole_weights_are_rows_left_out_and_repeated(weight: np.ndarray[Any, Any] | None) -> None:
    counts = _rng.integers(0, 3, N)
    ours = DistributedLinearRegression().fit(X, y, counts)
    repeated = LinearRegression().fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert_same_fit(ours, repeated, rtol=1e-9)


def test_huber_is_the_m_estimate_of_statsmodels() -> None:
    # Not scikit-learn's HuberRegressor, which minimises over the scale of the residuals as well.
    outliers = y + np.where(np.arange(N) % 10 == 0, 50.0, 0.0)
    ours = DistributedLinearRegression(loss="huber", epochs=50).fit(X, outliers)
    theirs = sm.RLM(outliers, sm.add_constant(X), sm.robust.norms.HuberT(1.35)).fit(tol=1e-10, maxiter=200)
    np.testing.assert_allclose([ours.intercept_, *ours.coef_], theirs.params, rtol=1e-3, atol=1e-3)
    assert ours.n_iter_ == ours.run_.result["solver"]["epochs"] >= 1


def test_single_precision_gives_the_digits_it_has() -> None:
    x32, y32 = X.astype(np.float32), y.astype(np.float32)
    ours = DistributedLinearRegression().fit(x32, y32)
    double = LinearRegression().fit(x32.astype(np.float64), y32.astype(np.float64))
    np.testing.assert_allclose(ours.coef_, double.coef_, rtol=1e-6)
    assert ours.predict(x32).dtype == np.float64


def test_with_collinear_columns_it_predicts_as_linear_regression_and_says_the_rank() -> None:
    doubled = np.column_stack([X, X[:, :2]])
    ours, theirs = DistributedLinearRegression().fit(doubled, y), LinearRegression().fit(doubled, y)
    np.testing.assert_allclose(ours.predict(doubled), theirs.predict(doubled), rtol=1e-9)
    assert ours.run_.result["solver"]["rank"] == D


def test_rows_beyond_one_row_group_all_count() -> None:
    x = _rng.normal(size=(30_001, 2))
    target = x @ [1.0, 2.0] + _rng.normal(size=len(x))
    ours = DistributedLinearRegression().fit(x, target)
    np.testing.assert_allclose(ours.coef_, LinearRegression().fit(x, target).coef_, rtol=1e-9)
    assert ours.run_.result["rows"]["train"] == 30_001


@settings(max_examples=8, deadline=None)
@given(st.floats(1e-6, 1e6), st.integers(0, 2**32 - 1))
def test_scaling_the_target_scales_the_coefficients(factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 3))
    target = x @ rng.normal(size=3) + rng.normal(size=40)
    once = DistributedLinearRegression().fit(x, target).coef_
    scaled = DistributedLinearRegression().fit(x, factor * target).coef_
    np.testing.assert_allclose(scaled, factor * once, rtol=1e-9, atol=1e-12 * factor)


class TestIterativeSolvers:
    def test_sgd_reports_its_epochs_and_a_refit_by_the_exact_solver_forgets_them(self) -> None:
        estimator = DistributedLinearRegression(
            solver="sgd", epochs=30, global_batch_size=40, overrides={"solver.early_stop": None}
        ).fit(X, y)
        assert estimator.n_iter_ == 30
        np.testing.assert_allclose(estimator.score(X, y), LinearRegression().fit(X, y).score(X, y), rtol=1e-2)
        assert not hasattr(estimator.set_params(solver="exact").fit(X, y), "n_iter_")

    def test_the_same_seed_gives_the_same_fit(self) -> None:
        def fit(random_state: Any) -> Any:
            made = DistributedLinearRegression(
                solver="adam", epochs=2, global_batch_size=32, random_state=random_state
            )
            return made.fit(X, y).coef_

        np.testing.assert_array_equal(fit(7), fit(np.int64(7)))
        np.testing.assert_array_equal(fit(np.random.RandomState(7)), fit(np.random.RandomState(7)))
        assert (fit(7) != fit(8)).any()
        assert np.isfinite(fit(None)).all()
