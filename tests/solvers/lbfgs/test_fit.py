"""L-BFGS reaches the optimum that independent optimisers find on the same objective."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm
from scipy.optimize import minimize

from linreg_dist.solvers import automatic
from tests.solvers.problems import Problem, Train, features_of, make_problem


def _with_outliers(tmp_path: Path) -> Problem:
    import pyarrow as pa
    import pyarrow.parquet as pq

    problem = make_problem(tmp_path / "d", num_rows=1800)
    rng = np.random.default_rng(5)
    problem.y[rng.choice(1800, 150, replace=False)] += rng.exponential(40.0, 150)
    for file in problem.path.iterdir():
        number = int(file.stem[-1])
        table = pq.read_table(file)
        place = table.column_names.index("y")
        y = problem.y[number * 600 : (number + 1) * 600]
        pq.write_table(table.set_column(place, "y", pa.array(y)), file, row_group_size=150)
    return problem


def _scipy_huber(problem: Problem, weight: np.ndarray, limit: float, l2: float) -> np.ndarray:
    """Minimise the documented objective, the penalty acting on standardised features."""
    mean = weight @ problem.x / weight.sum()
    std = np.sqrt(weight @ (problem.x - mean) ** 2 / weight.sum())
    z = (problem.x - mean) / std

    def objective(beta: np.ndarray) -> tuple[float, np.ndarray]:
        r = problem.y - beta[0] - z @ beta[1:]
        slope = np.clip(r, -limit, limit)
        loss = slope * (r - slope / 2)
        gradient = -np.concatenate([[weight @ slope], (weight * slope) @ z]) / weight.sum()
        gradient[1:] += l2 * beta[1:]
        return float(weight @ loss / weight.sum() + l2 / 2 * beta[1:] @ beta[1:]), gradient

    found = minimize(objective, np.zeros(1 + z.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-10})
    slopes = found.x[1:] / std
    return np.array([found.x[0] - mean @ slopes, *slopes])


def _coefficients(run: Any) -> np.ndarray:
    return np.array([run.model.intercept_, *run.model.coef_])


@pytest.mark.parametrize("l2", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, "w"])
@pytest.mark.parametrize("epsilon", [1.35, 2.0])
def test_huber_is_the_optimum_that_scipy_finds(
    tmp_path: Path, train_here: Train, epsilon: float, weight: str | None, l2: float
) -> None:
    problem = _with_outliers(tmp_path)
    run = train_here(
        problem.path,
        data={"features": features_of(problem), "weight": weight},
        model={"loss": "huber", "huber_epsilon": epsilon, "l2": l2},
        solver={"epochs": 30},
    )
    solver = run.result["solver"]
    assert solver["name"] == "lbfgs"
    assert solver["reason"] == "auto: huber loss has no closed form"
    assert solver["stopped"].startswith("converged")
    weight_N = np.ones(1800) if weight is None else problem.weight
    expected = _scipy_huber(problem, weight_N, epsilon * solver["huber_scale"][0], l2)
    np.testing.assert_allclose(_coefficients(run), expected, rtol=1e-4, atol=1e-5)
    residual = np.abs(problem.y - problem.with_ones @ expected)
    order = np.argsort(residual)
    median = residual[order][np.searchsorted(np.cumsum(weight_N[order]), weight_N.sum() / 2)]
    assert solver["huber_scale"][0] == pytest.approx(median / 0.6744897501960817, rel=1e-3)


def test_huber_with_its_scale_is_the_m_estimate_of_statsmodels(tmp_path: Path, train_here: Train) -> None:
    problem = _with_outliers(tmp_path)
    run = train_here(
        problem.path,
        data={"features": features_of(problem)},
        model={"loss": "huber", "huber_epsilon": 1.345},
        solver={"epochs": 40},
    )
    expected = sm.RLM(problem.y, problem.with_ones, M=sm.robust.norms.HuberT(1.345)).fit(
        tol=1e-12, maxiter=500
    )
    assert run.result["solver"]["huber_scale"][0] == pytest.approx(expected.scale, rel=2e-3)
    np.testing.assert_allclose(_coefficients(run), expected.params, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("solver", "rtol"),
    [
        ({"name": "adam", "schedule": "cosine"}, 2e-3),
        ({"name": "sgd", "learning_rate": 0.5, "momentum": 0.5, "schedule": "cosine"}, 2e-3),
        ({"name": "sgd"}, 2e-2),  # a constant step, averaged over an epoch of few steps
    ],
)
@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_mini_batch_solvers_minimise_the_huber_objective_of_lbfgs(
    tmp_path: Path, train_here: Train, solver: dict[str, Any], rtol: float, l2: float
) -> None:
    problem = _with_outliers(tmp_path)
    data = {"features": features_of(problem), "weight": "w"}
    model = {"loss": "huber", "huber_epsilon": 1.345, "l2": l2}
    best = train_here(problem.path, data=data, model=model, solver={"epochs": 40}, name="best")
    solver = {"epochs": 100, "global_batch_size": 300, "early_stop": None, **solver}
    run = train_here(problem.path, data=data, model=model, solver=solver, name="steps")
    expected, found = best.result["solver"]["huber_scale"][0], run.result["solver"]["huber_scale"][0]
    assert found == pytest.approx(expected, rel=rtol)
    assert found < 0.3 * problem.y.std()  # with which it must not be taken for
    np.testing.assert_allclose(_coefficients(run), _coefficients(best), rtol=2 * rtol, atol=2 * rtol)


def test_a_huber_run_of_steps_that_was_cut_keeps_its_scale(
    tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linreg_dist.training.rows import sweep as sweep_module

    problem = _with_outliers(tmp_path)
    job: dict[str, Any] = {
        "data": {"features": features_of(problem)},
        "model": {"loss": "huber"},
        "solver": {"name": "adam", "epochs": 4, "global_batch_size": 200, "early_stop": None},
        "run": {"checkpoint_every_s": 1e-9},
    }
    whole = train_here(problem.path, name="whole", **job)
    real, numbers = sweep_module.sweep, iter(range(10_000))

    def cut(*arguments: Any) -> Any:
        if next(numbers) == 14:  # in the second epoch
            raise KeyError("power cut")
        return real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(sweep_module, "sweep", cut)
        with pytest.raises(KeyError):
            train_here(problem.path, name="cut", **job)
    resumed = train_here(problem.path, name="cut", **job)
    np.testing.assert_allclose(resumed.model.coef_, whole.model.coef_, rtol=1e-12)
    assert resumed.result["solver"]["huber_scale"] == whole.result["solver"]["huber_scale"]


@pytest.mark.parametrize("mean", [0.0, 1e4])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_squared_loss_reaches_least_squares(
    tmp_path: Path, train_here: Train, mean: float, fit_intercept: bool
) -> None:
    problem = make_problem(tmp_path / "d", mean=mean if fit_intercept else 0.5)
    run = train_here(
        problem.path,
        data={"features": features_of(problem)},
        model={"fit_intercept": fit_intercept},
        solver={"name": "lbfgs"},
    )
    x = problem.with_ones if fit_intercept else problem.x
    expected = np.linalg.lstsq(x, problem.y, rcond=None)[0]
    np.testing.assert_allclose(run.model.coef_, expected[-4:], rtol=1e-6, atol=1e-7)
    assert run.result["solver"]["stopped"] == "converged: the gradient vanishes"


def test_the_answer_does_not_depend_on_the_number_of_threads_or_targets(
    tmp_path: Path, train_here: Train
) -> None:
    problem = make_problem(tmp_path / "d", num_targets=2)
    data = {"features": features_of(problem)}
    model = {"loss": "huber"}
    together = train_here(
        problem.path, data={**data, "target": ["y", "y1"]}, model=model, solver={"epochs": 40}, name="both"
    )
    for k, target in enumerate(("y", "y1")):
        alone = train_here(
            problem.path, data={**data, "target": target}, model=model, solver={"epochs": 40}, name=target
        )
        np.testing.assert_allclose(together.model.coef_[k], alone.model.coef_, rtol=1e-5)


def test_too_many_columns_for_a_gram_matrix_go_to_lbfgs_with_the_reason(
    tmp_path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(automatic, "MAX_EXACT_COLUMNS", 30)
    problem = make_problem(tmp_path / "d")
    features = [*features_of(problem), "firm"]  # 33 columns once the levels are known
    run = train_here(problem.path, data={"features": features}, solver={"epochs": 20})
    assert run.result["solver"]["name"] == "lbfgs"
    assert "columns after encoding are too many" in run.result["solver"]["reason"]
    exact = train_here(problem.path, data={"features": features}, solver={"name": "exact"}, name="exact")
    assert exact.result["solver"]["name"] == "exact"
    np.testing.assert_allclose(run.model.coef_, exact.model.coef_, rtol=1e-5, atol=1e-7)
    tuned = train_here(problem.path, data={"features": features}, model={"l1": 0.1}, name="lasso")
    assert tuned.result["solver"]["name"] == "exact"  # which alone can
