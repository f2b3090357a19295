from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from stats_blocks import factor_of, moments_of
from statsmodels.stats.outliers_influence import variance_inflation_factor

from linreg_dist.errors import SpecError
from linreg_dist.stats.inference import (
    Refusal,
    fit_statistics,
    infer,
    variance_inflation,
)
from linreg_dist.stats.solve import solve

SOURCES = pytest.mark.parametrize("source_of", [moments_of, factor_of])
RTOL = 1e-8


def problem(n=200, p=4, seed=0, loc=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * [1, 10, 0.1, 3][:p] + loc
    x[:, 0] += 0.5 * x[:, 1]
    y = x @ rng.normal(size=p) * 0.3 + 2 + rng.normal(size=n)
    return x, y, rng.uniform(0.2, 3, size=n)


def assert_tests(tests, want, alpha=0.05):
    np.testing.assert_allclose(tests.estimate, want.params, rtol=RTOL)
    np.testing.assert_allclose(tests.std_err, want.bse, rtol=RTOL)
    np.testing.assert_allclose(tests.statistic, want.tvalues, rtol=RTOL)
    np.testing.assert_allclose(tests.p, want.pvalues, rtol=RTOL, atol=1e-300)
    np.testing.assert_allclose(
        np.column_stack([tests.ci_low, tests.ci_high]), want.conf_int(alpha), rtol=RTOL
    )
    np.testing.assert_allclose(tests.covariance, want.cov_params(), rtol=RTOL, atol=1e-12)


def assert_fit(fit, want):
    for name, value in {
        "n": want.nobs,
        "df_model": want.df_model,
        "df_resid": want.df_resid,
        "r2": want.rsquared,
        "adj_r2": want.rsquared_adj,
        "sigma": np.sqrt(want.scale),
        "f": want.fvalue,
        "f_p": want.f_pvalue,
        "log_likelihood": want.llf,
        "aic": want.aic,
        "bic": want.bic,
    }.items():
        assert getattr(fit, name) == pytest.approx(value, rel=RTOL), name


@SOURCES
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
def test_tests_and_fit_statistics_equal_statsmodels(weighted, fit_intercept, source_of):
    x, y, w = problem(loc=5.0)
    w = w if weighted else None
    exog = sm.add_constant(x) if fit_intercept else x
    want = sm.WLS(y, exog, weights=w).fit() if weighted else sm.OLS(y, exog).fit()
    solution = solve(source_of(x, y, w), fit_intercept=fit_intercept)
    (tests,) = infer(solution)
    assert_tests(tests, want)
    (fit,) = fit_statistics(solution)
    assert_fit(fit, want)
    assert tests.wald_f == pytest.approx(want.fvalue, rel=RTOL)
    assert fit.reason is None
    assert tests.names == (("(intercept)",) if fit_intercept else ()) + ("x0", "x1", "x2", "x3")


def test_frequency_weights_equal_repeated_rows():
    x, y, _ = problem()
    times = np.random.default_rng(3).integers(0, 5, size=len(x))
    want = sm.OLS(np.repeat(y, times), sm.add_constant(np.repeat(x, times, axis=0))).fit()
    solution = solve(moments_of(x, y, times))
    (tests,) = infer(solution, weight_type="frequency")
    assert_tests(tests, want)
    assert_fit(fit_statistics(solution, "frequency")[0], want)


def test_a_row_of_analytic_weight_zero_is_no_observation():
    x, y, w = problem()
    w[:7] = 0
    want = sm.WLS(y[7:], sm.add_constant(x[7:]), weights=w[7:]).fit()
    solution = solve(moments_of(x, y, w))
    assert_tests(infer(solution)[0], want)
    assert_fit(fit_statistics(solution)[0], want)


@pytest.mark.parametrize("alpha", [0.01, 0.2])
def test_alpha_sets_the_level_of_the_intervals(alpha):
    x, y, _ = problem()
    want = sm.OLS(y, sm.add_constant(x)).fit()
    assert_tests(infer(solve(moments_of(x, y)), alpha=alpha)[0], want, alpha)


def test_every_target_gets_its_own_tests():
    x, y, _ = problem()
    both = np.column_stack([y, x[:, 0] * y])
    tests = infer(solve(moments_of(x, both)))
    for k in range(2):
        assert_tests(tests[k], sm.OLS(both[:, k], sm.add_constant(x)).fit())
    assert [t.target for t in tests] == ["y0", "y1"]


@SOURCES
def test_variance_inflation_equals_statsmodels(source_of):
    x, y, _ = problem()
    exog = sm.add_constant(x)
    want = [variance_inflation_factor(exog, j) for j in range(1, exog.shape[1])]
    np.testing.assert_allclose(variance_inflation(solve(source_of(x, y))), want, rtol=RTOL)


def test_a_constant_feature_has_no_standard_error_and_leaves_the_others_theirs():
    x, y, _ = problem(p=2)
    want = sm.OLS(y, sm.add_constant(x)).fit()
    padded = np.column_stack([x[:, 0], np.full(len(x), 4.2), x[:, 1]])
    solution = solve(moments_of(padded, y))
    (tests,) = infer(solution)
    np.testing.assert_allclose(tests.std_err[[0, 1, 3]], want.bse, rtol=RTOL)
    assert np.isnan(tests.std_err[2])
    assert tests.estimate[2] == 0
    assert tests.wald_f == pytest.approx(want.fvalue, rel=RTOL)
    assert np.isnan(variance_inflation(solution)[1])
    assert_fit(fit_statistics(solution)[0], want)


def test_penalised_singular_and_saturated_fits_refuse_with_the_reason():
    x, y, _ = problem(p=2)
    penalised = solve(moments_of(x, y), l2=0.1)
    singular = solve(moments_of(np.column_stack([x, x[:, 0]]), y, feature_names=["a", "b", "c"]))
    saturated = solve(moments_of(x[:3], y[:3]))
    for solution, text in [(penalised, "penalised"), (singular, "combinations"), (saturated, "0 degrees")]:
        refused = infer(solution)
        assert isinstance(refused, Refusal)
        assert text in refused.reason
        (fit,) = fit_statistics(solution)
        assert text in fit.reason
        assert (fit.sigma, fit.f, fit.aic) == (None, None, None)
        assert fit.r2 is not None
    assert "a" in infer(singular).reason
    assert isinstance(variance_inflation(singular), Refusal)
    assert isinstance(variance_inflation(penalised), Refusal)


def test_a_target_that_does_not_vary_has_no_fit_statistics():
    x, _, _ = problem()
    (fit,) = fit_statistics(solve(moments_of(x, np.full(len(x), 3.0))))
    assert (fit.r2, fit.sigma, fit.log_likelihood) == (None, None, None)
    assert "does not vary" in fit.reason


def test_an_intercept_alone_has_the_standard_error_of_a_mean():
    _, y, _ = problem()
    (tests,) = infer(solve(moments_of(np.ones((len(y), 1)), y)))
    assert tests.std_err[0] == pytest.approx(y.std(ddof=1) / np.sqrt(len(y)), rel=1e-12)
    assert tests.wald_f is None


@pytest.mark.parametrize("alpha", [0.0, 1.0, float("nan")])
def test_an_alpha_that_is_no_level_is_refused(alpha):
    x, y, _ = problem()
    with pytest.raises(SpecError, match="alpha must lie between 0 and 1"):
        infer(solve(moments_of(x, y)), alpha=alpha)
