from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from stats_blocks import blocks_of, moments_of

from linreg_dist.errors import DataError, SpecError
from linreg_dist.stats.inference import Refusal
from linreg_dist.stats.robust import RobustMeat, robust_tests
from linreg_dist.stats.solve import solve
from tests.kernels.pieces import at_offset

KINDS = ("HC0", "HC1", "HC2", "HC3")


def problem(n=300, k=1, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) * [1, 100, 0.01] + [5, 0, 1]
    y = x @ [1, 0.01, 5] + rng.normal(size=n) * (0.2 + np.abs(x[:, 0]))
    y = np.column_stack([y * (i + 1) + i * x[:, 1] for i in range(k)])
    return x, y, rng.uniform(0.2, 3, size=n), rng.integers(0, 20, size=n)


def meat_of(solution, kinds, x, y, w=None, clusters=None, rows=70, **options):
    meat = RobustMeat(solution, kinds, **options)
    for i, block in enumerate(blocks_of(x, y, w, rows)):
        ids = None if clusters is None else clusters[i * rows : (i + 1) * rows]
        meat.accumulate(*block, ids)
    return meat


def assert_tests(tests, want):
    np.testing.assert_allclose(tests.std_err, want.bse, rtol=1e-8)
    np.testing.assert_allclose(tests.covariance, want.cov_params(), rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(tests.statistic, want.tvalues, rtol=1e-8)
    np.testing.assert_allclose(tests.p, want.pvalues, rtol=1e-7, atol=1e-300)
    np.testing.assert_allclose(np.column_stack([tests.ci_low, tests.ci_high]), want.conf_int(), rtol=1e-8)


@pytest.mark.parametrize("use_t", [False, True])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("cov_type", [*KINDS, "cluster"])
def test_robust_tests_equal_statsmodels(cov_type, weighted, fit_intercept, use_t):
    x, y, w, clusters = problem()
    w = w if weighted else None
    exog = sm.add_constant(x) if fit_intercept else x
    model = sm.WLS(y[:, 0], exog, weights=w) if weighted else sm.OLS(y[:, 0], exog)
    kwds = {"groups": clusters} if cov_type == "cluster" else {}
    want = model.fit(cov_type=cov_type, cov_kwds=kwds, use_t=use_t)
    solution = solve(moments_of(x, y, w), fit_intercept=fit_intercept)
    meat = meat_of(solution, [cov_type], x, y, w, clusters if cov_type == "cluster" else None)
    (tests,) = robust_tests(solution, meat, cov_type, use_t=use_t)
    assert_tests(tests, want)
    assert tests.cov_type == cov_type
    assert tests.wald_f == pytest.approx(want.fvalue, rel=1e-7)


@pytest.mark.parametrize("cov_type", [*KINDS, "cluster"])
def test_frequency_weights_equal_repeated_rows(cov_type):
    x, y, _, clusters = problem()
    times = np.random.default_rng(1).integers(0, 4, size=len(x))
    repeated = [np.repeat(a, times, axis=0) for a in (x, y, clusters)]
    kwds = {"groups": repeated[2]} if cov_type == "cluster" else {}
    want = sm.OLS(repeated[1][:, 0], sm.add_constant(repeated[0])).fit(cov_type=cov_type, cov_kwds=kwds)
    solution = solve(moments_of(x, y, times))
    ids = clusters if cov_type == "cluster" else None
    meat = meat_of(solution, [cov_type], x, y, times, ids, weight_type="frequency")
    assert_tests(robust_tests(solution, meat, cov_type)[0], want)


@given(
    seed=st.integers(0, 99),
    n=st.integers(8, 900),
    k=st.integers(1, 2),
    dtype=st.sampled_from([np.float32, np.float64]),
    weight_type=st.sampled_from([None, "analytic", "frequency"]),
    fit_intercept=st.booleans(),
    kinds=st.sets(st.sampled_from([*KINDS, "cluster"]), min_size=1),
    skip=st.integers(0, 15),
)
@settings(max_examples=60, deadline=None)
def test_one_native_call_sums_what_numpy_does_with_the_same_bits_wherever_the_rows_are(
    seed, n, k, dtype, weight_type, fit_intercept, kinds, skip
):
    x, y, w, clusters = problem(n, k, seed)
    x, y, w = (each.astype(dtype) for each in (x, y, np.ceil(w)))
    w[::7] = 0
    weights = None if weight_type is None else w
    options = {} if weight_type is None else {"weight_type": weight_type}
    solution = solve(moments_of(x, y, weights), fit_intercept=fit_intercept)
    ids = clusters if "cluster" in kinds else None

    def natively(skip):
        columns = [at_offset(np.ascontiguousarray(each.T), skip).T for each in (x, y)]
        meat = RobustMeat(solution, sorted(kinds), **options)
        meat.accumulate(*columns, None if weights is None else at_offset(w, skip), ids, native=True)
        return meat

    plain, found, moved = (
        meat_of(solution, sorted(kinds), x, y, weights, ids, **options),
        *map(natively, (0, skip)),
    )
    assert (found.n, found.num_full_leverage) == (plain.n, plain.num_full_leverage)
    for kind in kinds:
        largest = np.abs(plain.meat(kind)).max()
        np.testing.assert_allclose(found.meat(kind), plain.meat(kind), rtol=1e-9, atol=1e-10 * largest)
        assert found.meat(kind).tobytes() == moved.meat(kind).tobytes()
    np.testing.assert_allclose(found.residual_sum, plain.residual_sum, rtol=1e-10)
    bound = np.sqrt(plain.residual_sum.max() * (1 + w.sum()))
    np.testing.assert_allclose(found.gradient, plain.gradient, atol=1e-10 * bound)


def test_rows_of_leverage_one_are_counted_natively_too():
    x = np.zeros((50, 2))
    x[:, 0], x[3, 1] = np.arange(50), 1.0
    y = x[:, :1] + np.random.default_rng(0).normal(size=(50, 1))
    solution = solve(moments_of(x, y))
    meat = RobustMeat(solution, ["HC3"])
    meat.accumulate(np.asfortranarray(x), np.asfortranarray(y), native=True)
    assert meat.num_full_leverage == 1
    assert isinstance(robust_tests(solution, meat, "HC3"), Refusal)


def test_several_targets_and_kinds_share_one_pass():
    x, y, _, clusters = problem(k=2)
    solution = solve(moments_of(x, y))
    meat = meat_of(solution, ["HC1", "HC3", "cluster"], x, y, None, clusters)
    for k in range(2):
        model = sm.OLS(y[:, k], sm.add_constant(x))
        assert_tests(robust_tests(solution, meat, "HC1")[k], model.fit(cov_type="HC1"))
        assert_tests(robust_tests(solution, meat, "HC3")[k], model.fit(cov_type="HC3"))
        want = model.fit(cov_type="cluster", cov_kwds={"groups": clusters})
        assert_tests(robust_tests(solution, meat, "cluster")[k], want)


def test_parts_of_several_workers_merge_through_their_states():
    x, y, w, clusters = problem()
    names = np.array([f"store {c}" for c in clusters])
    solution = solve(moments_of(x, y, w))
    kinds = [*KINDS, "cluster"]
    whole = meat_of(solution, kinds, x, y, w, names)
    total = RobustMeat(solution, kinds)
    for rows in (slice(0, 100), slice(100, 170), slice(170, None)):
        worker = meat_of(solution, kinds, x[rows], y[rows], w[rows], names[rows])
        received = RobustMeat(solution, kinds)
        received.load_state(worker.state())
        total.merge(received)
    assert total.num_clusters == 20
    for kind in kinds:
        a, b = (robust_tests(solution, m, kind)[0].std_err for m in (total, whole))
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_the_second_pass_measures_the_residuals_and_the_gradient():
    x, y, w, _ = problem()
    solution = solve(moments_of(x, y, w))
    meat = meat_of(solution, ["HC0"], x, y, w)
    np.testing.assert_allclose(meat.residual_sum, solution.residual_sum, rtol=1e-11)
    assert np.abs(meat.gradient).max() < 1e-10 * np.sqrt(solution.total_sum[0])


def test_a_row_of_leverage_one_refuses_hc2_and_hc3_only():
    x, y, _, _ = problem()
    x[:, 1] = 0
    x[5, 1] = 3.0
    solution = solve(moments_of(x, y))
    meat = meat_of(solution, KINDS, x, y)
    assert isinstance(robust_tests(solution, meat, "HC1"), tuple)
    for kind in ("HC2", "HC3"):
        refused = robust_tests(solution, meat, kind)
        assert isinstance(refused, Refusal)
        assert "1 row(s) have leverage 1" in refused.reason


def test_one_cluster_is_refused():
    x, y, _, _ = problem()
    solution = solve(moments_of(x, y))
    meat = meat_of(solution, ["cluster"], x, y, None, np.zeros(len(x), dtype=int))
    assert "1 cluster was found" in robust_tests(solution, meat, "cluster").reason


def test_a_constant_feature_keeps_its_place_with_nan():
    x, y, _, _ = problem()
    padded = np.column_stack([x, np.ones(len(x))])
    solution = solve(moments_of(padded, y))
    (tests,) = robust_tests(solution, meat_of(solution, ["HC1"], padded, y), "HC1")
    want = sm.OLS(y[:, 0], sm.add_constant(x)).fit(cov_type="HC1")
    np.testing.assert_allclose(tests.std_err[:4], want.bse, rtol=1e-8)
    assert np.isnan(tests.std_err[4])


def test_misuse_is_refused_with_what_to_do():
    x, y, _, clusters = problem()
    solution = solve(moments_of(x, y))
    with pytest.raises(SpecError, match="do not exist: the coefficients are penalised"):
        RobustMeat(solve(moments_of(x, y), l2=1.0), ["HC0"])
    with pytest.raises(SpecError, match="HC9"):
        RobustMeat(solution, ["HC9"])
    with pytest.raises(DataError, match="cluster ids: found none for a block of 70 rows"):
        meat_of(solution, ["cluster"], x, y)
    with pytest.raises(DataError, match="cluster ids: found 70"):
        meat_of(solution, ["HC0"], x, y, None, clusters)
    with pytest.raises(SpecError, match="HC3 was not accumulated"):
        robust_tests(solution, meat_of(solution, ["HC0"], x, y), "HC3")
    with pytest.raises(DataError, match="second pass saw 100 rows, the first 300"):
        robust_tests(solution, meat_of(solution, ["HC0"], x[:100], y[:100]), "HC0")
    with pytest.raises(DataError, match="cannot be merged"):
        RobustMeat(solution, ["HC0"]).merge(RobustMeat(solution, ["HC2"]))


def test_fresh_sums_share_nothing_with_those_they_were_made_from():
    x, y, _, clusters = problem()
    solution = solve(moments_of(x, y))
    kinds = ("HC0", "cluster")
    whole = meat_of(solution, kinds, x, y, clusters=clusters)
    merged = whole.fresh()
    for i, block in enumerate(blocks_of(x, y, None, 70)):
        part = whole.fresh()
        part.accumulate(*block, clusters[i * 70 : (i + 1) * 70])
        merged.merge(part)
    assert whole.n == merged.n == len(x)
    for kind in kinds:
        np.testing.assert_allclose(merged.meat(kind), whole.meat(kind), rtol=1e-12, atol=1e-12)
