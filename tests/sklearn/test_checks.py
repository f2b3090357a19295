"""The estimator is one by scikit-learn's own rules, and takes its place where scikit-learn composes them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from linreg_dist.sklearn import DistributedLinearRegression

X = np.random.default_rng(0).normal(size=(120, 3))
y = X @ [1.0, -2.0, 0.5] + 3.0 + np.random.default_rng(1).normal(size=120)


# No check is expected to fail.
@parametrize_with_checks([DistributedLinearRegression(), DistributedLinearRegression(l2=0.1, missing="mean")])
def test_scikit_learns_own_checks(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


def test_parameters_are_stored_as_they_are_and_survive_a_clone() -> None:
    overrides = {"solver.momentum": 0.9}
    estimator = DistributedLinearRegression(l2=0.5, solver="sgd", overrides=overrides)
    assert estimator.overrides is overrides
    assert clone(estimator).get_params() == estimator.get_params()
    assert estimator.set_params(l2=1.0).l2 == 1.0


def test_it_is_the_last_step_of_a_pipeline() -> None:
    ours = make_pipeline(StandardScaler(), PolynomialFeatures(2), DistributedLinearRegression())
    theirs = make_pipeline(StandardScaler(), PolynomialFeatures(2), LinearRegression())
    np.testing.assert_allclose(ours.fit(X, y).predict(X), theirs.fit(X, y).predict(X), rtol=1e-9)


def test_a_grid_search_over_numpys_numbers_finds_what_it_finds_with_ridge() -> None:
    grid = np.logspace(-3, 1, 4)
    num_training_rows = 80  # two thirds
    ours = GridSearchCV(DistributedLinearRegression(standardize=False), {"l2": grid}, cv=3).fit(X, y)
    theirs = GridSearchCV(Ridge(), {"alpha": grid * num_training_rows}, cv=3).fit(X, y)
    np.testing.assert_allclose(
        ours.cv_results_["mean_test_score"], theirs.cv_results_["mean_test_score"], rtol=1e-9
    )
    assert ours.best_params_["l2"] * num_training_rows == theirs.best_params_["alpha"]


def test_cross_validation_scores_as_linear_regression_does() -> None:
    ours = cross_val_score(DistributedLinearRegression(), X, y)
    np.testing.assert_allclose(ours, cross_val_score(LinearRegression(), X, y), rtol=1e-9)


def test_the_target_can_be_transformed() -> None:
    positive = np.exp(y / 4)
    ours = TransformedTargetRegressor(DistributedLinearRegression(), func=np.log, inverse_func=np.exp)
    theirs = TransformedTargetRegressor(LinearRegression(), func=np.log, inverse_func=np.exp)
    np.testing.assert_allclose(
        ours.fit(X, positive).predict(X), theirs.fit(X, positive).predict(X), rtol=1e-9
    )


def test_a_fitted_estimator_can_be_pickled_although_its_run_is_gone() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c"]).assign(kind=["s", "m", "l"] * 40)
    fitted = DistributedLinearRegression().fit(frame, y)
    assert not fitted.run_.path.exists()
    again = pickle.loads(pickle.dumps(fitted))  # noqa: S301 (our own bytes)
    np.testing.assert_array_equal(again.predict(frame), fitted.predict(frame))
    np.testing.assert_array_equal(again.run_.model.cov_params(), fitted.model_.cov_params())


@pytest.mark.parametrize("hidden", ["sklearn", "sklearn.utils.validation"])
def test_without_scikit_learn_the_import_says_what_to_install(hidden: str) -> None:
    program = (
        f"import sys; sys.modules[{hidden!r}] = None\n"
        "try: import linreg_dist.sklearn\n"
        "except ImportError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "linreg_dist.sklearn needs scikit-learn 1.6 or newer: pip install 'linreg-dist[sklearn]'\n"
    )
