"""Ridge, lasso and elastic net through a whole run agree with scikit-learn on the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import ElasticNet, Ridge

from linreg_dist.errors import SpecError
from linreg_dist.model.describe import describe
from tests.solvers.problems import Train, features_of, make_problem


def _standardised(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return (x - x.mean(0)) / x.std(0), x.std(0)


@pytest.mark.parametrize(("l1", "l2"), [(0.1, 0.0), (0.05, 0.2), (0.5, 0.5), (5.0, 0.0)])
@pytest.mark.parametrize("standardize", [True, False])
def test_an_elastic_net_is_scikit_learns(
    tmp_path: Path, train_here: Train, l1: float, l2: float, standardize: bool
) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(
        problem.path,
        data={"features": features_of(problem)},
        model={"l1": l1, "l2": l2, "standardize": standardize},
    )
    assert run.result["solver"]["name"] == "exact"
    x, std = _standardised(problem.x) if standardize else (problem.x, np.ones(4))
    expected = ElasticNet(alpha=l1 + l2, l1_ratio=l1 / (l1 + l2), tol=1e-14, max_iter=200_000)
    expected.fit(x, problem.y)
    np.testing.assert_allclose(run.model.coef_, expected.coef_ / std, rtol=1e-7, atol=1e-9)
    assert ((run.model.coef_ == 0) == (expected.coef_ == 0)).all()


def test_ridge_with_weights_is_scikit_learns(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(
        problem.path,
        data={"features": features_of(problem), "weight": "w"},
        model={"l2": 0.3, "standardize": False},
    )
    expected = Ridge(alpha=0.3 * problem.weight.sum(), tol=1e-14)
    expected.fit(problem.x, problem.y, sample_weight=problem.weight)
    np.testing.assert_allclose(run.model.coef_, expected.coef_, rtol=1e-9)
    np.testing.assert_allclose(run.model.intercept_, expected.intercept_, rtol=1e-9)


def test_show_says_why_a_penalised_fit_has_no_standard_errors(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(problem.path, data={"features": features_of(problem)}, model={"l1": 0.1})
    document = describe(run.model).to_json()
    assert "penalised" in document["inference_reason"]
    assert all(row["std_err"] is None for row in document["coefficients"])
    assert document["penalty"] == {"l1": 0.1, "l2": 0.0}


def test_lbfgs_refuses_l1_and_says_what_to_use(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    with pytest.raises(SpecError, match=r"lbfgs needs a smooth objective.*exact"):
        train_here(
            problem.path,
            data={"features": features_of(problem)},
            model={"l1": 0.1},
            solver={"name": "lbfgs"},
        )


def test_every_target_gets_its_own_fit(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d", num_targets=3)
    targets = ["y", "y1", "y2"]
    run = train_here(problem.path, data={"features": features_of(problem), "target": targets})
    ys = np.column_stack([problem.y, *(problem.y * (k + 1) + problem.x[:, k] ** 2 for k in (1, 2))])
    expected = np.linalg.lstsq(problem.with_ones, ys, rcond=None)[0]
    np.testing.assert_allclose(run.model.intercept_, expected[0], rtol=1e-9)
    np.testing.assert_allclose(run.model.coef_, expected[1:].T, rtol=1e-9, atol=1e-12)
    assert [each["target"] for each in describe(run.model).to_json()["targets"]] == targets
