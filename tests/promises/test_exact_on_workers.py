"""What the exact solver and L-BFGS find is the same on two workers as in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linreg_dist.verbs.stats import open_statistics
from linreg_dist.verbs.train import train
from tests.solvers.problems import Problem, features_of, make_problem

pytestmark = pytest.mark.usefixtures("light_workers")


def _both(problem: Problem, **sections: Any) -> list[Any]:
    data = {"path": str(problem.path), "target": "y", "features": features_of(problem)}
    spec = {
        "data": {**data, **sections.pop("data", {})},
        "run": {"storage_path": str(problem.path.parent / "runs")},
        **sections,
    }
    return [
        train({**spec, "name": f"job-{workers}", "scaling": {"num_workers": workers}}) for workers in (0, 2)
    ]


def test_cluster_errors_statistics_and_the_curve_of_a_tuned_fit_are_the_same(tmp_path: Path) -> None:
    problem = make_problem(tmp_path / "d")
    here, there = _both(
        problem,
        model={"covariance": "cluster"},
        data={"cluster": "firm", "weight": "w"},
        tune={"l2": [0.0, 0.01, 0.1], "folds": 4},
    )
    np.testing.assert_allclose(there.model.coef_, here.model.coef_, rtol=1e-12)
    assert open_statistics(there.path).consumed == open_statistics(here.path).consumed
    for mine, theirs in zip(here.result["tune"]["points"], there.result["tune"]["points"], strict=True):
        assert theirs["mse"] == pytest.approx(mine["mse"], rel=1e-12)
    assert there.result["tune"]["chosen"] == here.result["tune"]["chosen"]
    found, expected = (run.model.details.inference.targets["y"].tests for run in (there, here))
    for name in expected:
        assert found[name].std_err == pytest.approx(expected[name].std_err, rel=1e-11)


def test_huber_by_lbfgs_has_the_same_bits(tmp_path: Path) -> None:
    problem = make_problem(tmp_path / "d")
    here, there = _both(problem, model={"loss": "huber"})
    assert there.result["solver"]["name"] == "lbfgs"
    np.testing.assert_allclose(there.model.coef_, here.model.coef_, rtol=1e-12)
    assert there.result["solver"]["huber_scale"] == here.result["solver"]["huber_scale"]
