from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Ridge
from sklearn.preprocessing import StandardScaler
from stats_blocks import moments_of

from linreg_dist.errors import DataError, SpecError
from linreg_dist.stats.crossval import cross_validate, mean_squared_error, penalties_of
from linreg_dist.stats.moments import Moments, merged_moments
from linreg_dist.stats.penalised import Penalty, penalty_grid


def problem(n=150, p=6, k=1, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) * rng.uniform(0.5, 20, size=p) + 3
    y = (x / x.std(0)) @ (rng.normal(size=(p, k)) * (np.arange(p) < 3)[:, None]) + 4 * rng.normal(size=(n, k))
    return x, y, rng.integers(0, 5, size=n)


def folds_of(x, y, fold, w=None):
    return [moments_of(x[fold == f], y[fold == f], None if w is None else w[fold == f]) for f in range(5)]


def sklearn_fold_mse(x, y, fold, penalty, standardize, w):
    """The same validation errors by fitting on rows and scoring rows."""
    errors = []
    for f in range(5):
        inside, outside = fold != f, fold == f
        weight = w[inside]
        scaler = StandardScaler(with_mean=standardize, with_std=standardize).fit(
            x[inside], sample_weight=weight
        )
        if penalty.l1 == 0:
            model = Ridge(alpha=weight.sum() * penalty.l2, solver="svd")
        else:
            total = penalty.l1 + penalty.l2
            model = ElasticNet(alpha=total, l1_ratio=penalty.l1 / total, tol=1e-14, max_iter=100_000)
        model.fit(scaler.transform(x[inside]), y[inside, 0], sample_weight=weight)
        squares = (y[outside, 0] - model.predict(scaler.transform(x[outside]))) ** 2
        errors.append(np.average(squares, weights=w[outside]))
    return errors


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("penalty", [Penalty(0, 0.3), Penalty(0.2, 0.1), Penalty(0.4, 0)])
def test_fold_errors_equal_those_of_fitting_and_scoring_rows(penalty, standardize, weighted):
    x, y, fold = problem()
    w = np.random.default_rng(1).uniform(0.5, 2, size=len(x)) if weighted else np.ones(len(x))
    got = cross_validate(folds_of(x, y, fold, w), [penalty], standardize=standardize)
    np.testing.assert_allclose(
        got.fold_mse[0], sklearn_fold_mse(x, y, fold, penalty, standardize, w), rtol=1e-8
    )


def test_mean_and_standard_error_follow_glmnet():
    x, y, fold = problem()
    result = cross_validate(folds_of(x, y, fold), [Penalty(0.1, 0), Penalty(0, 0.1)])
    weights = np.bincount(fold)
    for i in range(2):
        mean = np.average(result.fold_mse[i], weights=weights)
        variance = np.average((result.fold_mse[i] - mean) ** 2, weights=weights)
        assert result.mean[i] == pytest.approx(mean, rel=1e-13)
        assert result.std_err[i] == pytest.approx(np.sqrt(variance / 4), rel=1e-13)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
def test_the_one_standard_error_choice_is_the_strongest_within_reach_of_the_best(l1_ratio):
    x, y, fold = problem()
    folds = folds_of(x, y, fold)
    grid = penalty_grid(merged_moments(folds), l1_ratio=l1_ratio, num=60)
    result = cross_validate(folds, grid)
    limit = result.mean[result.best] + result.std_err[result.best]
    assert result.mean[result.best] == result.mean.min()
    assert result.mean[result.one_std_err] <= limit
    # The grid falls, so every position before the choice is a stronger penalty, and out of reach.
    assert result.one_std_err < result.best
    assert (result.mean[: result.one_std_err] > limit).all()


def test_the_one_standard_error_choice_keeps_the_l1_ratio_of_the_best():
    x, y, fold = problem()
    grid = penalties_of(np.geomspace(1, 1e-3, 20).tolist(), [1.0, 0.1, 0.0])
    result = cross_validate(folds_of(x, y, fold), grid)
    best, chosen = (result.penalties[i] for i in (result.best, result.one_std_err))
    assert chosen.l1 * (best.l1 + best.l2) == pytest.approx(best.l1 * (chosen.l1 + chosen.l2), rel=1e-12)


def test_the_curve_is_plain_json():
    x, y, fold = problem()
    result = cross_validate(folds_of(x, y, fold), penalties_of([1.0, 0.1], [0.5]))
    curve = json.loads(json.dumps(result.curve().to_json()))
    assert curve["folds"] == 5
    assert [point["l1"] for point in curve["points"]] == [0.5, 0.05]
    assert curve["points"][curve["best"]]["mse"] == min(point["mse"] for point in curve["points"])


def test_the_error_from_moments_is_the_error_of_the_rows():
    x, y, _ = problem(k=2)
    rng = np.random.default_rng(2)
    coef, intercept = rng.normal(size=(3, 2, 6)), rng.normal(size=(3, 2))
    w = rng.uniform(0, 2, size=len(x))
    got = mean_squared_error(moments_of(x, y, w), coef, intercept)
    for i in range(3):
        squares = (y - x @ coef[i].T - intercept[i]) ** 2
        np.testing.assert_allclose(got[i], np.average(squares, axis=0, weights=w), rtol=1e-12)


def test_several_targets_are_judged_by_their_mean_error():
    x, y, fold = problem(k=2)
    both = cross_validate(folds_of(x, y, fold), [Penalty(0.1, 0)]).fold_mse
    each = [cross_validate(folds_of(x, y[:, [k]], fold), [Penalty(0.1, 0)]).fold_mse for k in range(2)]
    np.testing.assert_allclose(both, (each[0] + each[1]) / 2, rtol=1e-12)


def test_penalties_of_combines_strengths_and_ratios():
    assert penalties_of([2.0], [0.0, 0.25]) == (Penalty(0.0, 2.0), Penalty(0.5, 1.5))
    with pytest.raises(SpecError, match="l1_ratio from 0 to 1"):
        penalties_of([1.0], [1.5])
    with pytest.raises(SpecError, match="at least one strength"):
        penalties_of([])


def test_too_few_folds_empty_folds_and_no_penalties_are_refused():
    x, y, fold = problem()
    folds = folds_of(x, y, fold)
    with pytest.raises(SpecError, match="at least two folds"):
        cross_validate(folds[:1], [Penalty(0, 1)])
    with pytest.raises(SpecError, match="0 penalties"):
        cross_validate(folds, [])
    empty = Moments.empty(folds[0].feature_names, folds[0].target_names)
    with pytest.raises(DataError, match=r"fold\(s\) 5 of 6 have no rows"):
        cross_validate([*folds, empty], [Penalty(0, 1)])
