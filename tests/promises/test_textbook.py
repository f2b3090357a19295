"""Whole jobs in this process against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Lasso

from tests.parquet import linear_columns, write_parquet

TO_THE_OPTIMUM = {"early_stop": None, "epochs": 300, "name": "sgd", "shuffle": False}


def design(columns: dict[str, np.ndarray]) -> np.ndarray:
    return np.column_stack([values for name, values in columns.items() if name.startswith("x")])


def least_squares(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    solution = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), y, rcond=None)[0]
    return solution[:-1], solution[-1]


def test_a_line_by_sgd(tmp_path, train_here):
    """y = 2x + 1 + noise: the prediction at 2 is 5 ± 0.05."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-3.0, 3.0, size=1000)
    path = write_parquet(tmp_path / "a.parquet", {"x": x, "y": 2.0 * x + 1.0 + 0.5 * rng.normal(size=1000)})
    run = train_here(path, solver={"name": "sgd", "learning_rate": 0.05, "epochs": 20})
    assert run.model.predict({"x": [2.0]})[0] == pytest.approx(5.0, abs=0.05)
    assert run.metrics["train"]["mse"] == pytest.approx(0.25, rel=0.1)
    assert run.result["status"] == "succeeded"


@pytest.mark.parametrize("name", ["adam", "rmsprop", "sgd"])
def test_five_features_in_mini_batches(tmp_path, train_here, name):
    columns = linear_columns(4000, 5)
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=700)
    solver = {"name": name, "global_batch_size": 64, "epochs": 15, "schedule": "cosine", "early_stop": None}
    run = train_here(path, solver=solver)
    coef, intercept = least_squares(design(columns), columns["y"])
    np.testing.assert_allclose(run.model.coef_, coef, atol=0.01)
    assert run.model.intercept_ == pytest.approx(intercept, abs=0.01)
    assert run.result["solver"]["steps_per_epoch"] == 63


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_l2_against_the_closed_form(tmp_path, train_here, standardize, fit_intercept):
    """Minimise 1/(2n) Σ (y - xᵀβ - b)² + l2/2 ‖β‖², b free; standardised, β is that of x/std."""
    columns = linear_columns(300, 3)
    columns["x0"] = 4.0 * columns["x0"] + 1.0
    path = write_parquet(tmp_path / "a.parquet", columns)
    x, y, l2 = design(columns), columns["y"], 0.3
    std = x.std(axis=0) if standardize else np.ones(3)
    x_mean, y_mean = (x.mean(axis=0), y.mean()) if fit_intercept else (np.zeros(3), 0.0)
    z = (x - x_mean) / std
    coef = np.linalg.solve(z.T @ z / len(z) + l2 * np.eye(3), z.T @ (y - y_mean) / len(z)) / std
    model = {"l2": l2, "standardize": standardize, "fit_intercept": fit_intercept}
    run = train_here(path, model=model, solver={**TO_THE_OPTIMUM, "global_batch_size": 300})
    np.testing.assert_allclose(run.model.coef_, coef, rtol=1e-5, atol=1e-5)
    assert run.model.intercept_ == pytest.approx(y_mean - x_mean @ coef, abs=1e-5)


@pytest.mark.parametrize("standardize", [True, False])
def test_l1_against_scikit_learns_lasso_with_its_exact_zeros(tmp_path, train_here, standardize):
    columns = linear_columns(300, 4)
    columns["y"] = 10.0 * (columns["y"] - 4.0 * columns["x3"])  # x3 is now without effect
    columns["x0"] = 3.0 * columns["x0"]
    path = write_parquet(tmp_path / "a.parquet", columns)
    run = train_here(
        path,
        model={"l1": 2.0, "standardize": standardize},
        solver={**TO_THE_OPTIMUM, "global_batch_size": 300},
    )
    x = design(columns)
    std = x.std(axis=0) if standardize else np.ones(4)
    lasso = Lasso(alpha=2.0, tol=1e-12, max_iter=100_000).fit(x / std, columns["y"])
    np.testing.assert_allclose(run.model.coef_, lasso.coef_ / std, atol=1e-4)
    assert run.model.coef_[3] == 0.0


def test_without_an_intercept(tmp_path, train_here):
    columns = linear_columns(300, 3)
    path = write_parquet(tmp_path / "a.parquet", columns)
    run = train_here(
        path, model={"fit_intercept": False}, solver={**TO_THE_OPTIMUM, "global_batch_size": 300}
    )
    expected = np.linalg.lstsq(design(columns), columns["y"], rcond=None)[0]
    np.testing.assert_allclose(run.model.coef_, expected, rtol=1e-5)
    assert run.model.intercept_ == 0.0


def test_several_targets_are_as_many_single_ones(tmp_path, train_here):
    columns = linear_columns(300, 3)
    columns["t"] = 1000.0 - 50.0 * columns["x0"]
    path = write_parquet(tmp_path / "a.parquet", columns)
    solver = {**TO_THE_OPTIMUM, "global_batch_size": 300}
    both = train_here(
        path, data={"target": ["y", "t"], "features": ["x0", "x1", "x2"]}, solver=solver, name="both"
    )
    for k, target in enumerate(("y", "t")):
        alone = train_here(
            path, data={"target": target, "features": ["x0", "x1", "x2"]}, solver=solver, name=target
        )
        np.testing.assert_allclose(both.model.coef_[k], alone.model.coef_, rtol=1e-6, atol=1e-4)
        per_target = both.metrics["train"]["per_target"][target]
        assert per_target["mae"] == pytest.approx(alone.metrics["train"]["mae"], rel=1e-3, abs=1e-3)


def test_integer_weights_are_repeated_rows(tmp_path, train_here):
    columns = linear_columns(200, 2)
    counts = np.random.default_rng(5).integers(0, 4, size=200)
    weighted = write_parquet(tmp_path / "weighted.parquet", {**columns, "w": counts})
    repeated = write_parquet(
        tmp_path / "repeated.parquet", {name: np.repeat(values, counts) for name, values in columns.items()}
    )
    solver = {**TO_THE_OPTIMUM, "global_batch_size": 10_000}
    model = {"l2": 0.1}
    by_weight = train_here(weighted, data={"weight": "w"}, model=model, solver=solver, name="weighted")
    by_row = train_here(repeated, model=model, solver=solver, name="repeated")
    np.testing.assert_allclose(by_weight.model.coef_, by_row.model.coef_, rtol=1e-5)
    assert by_weight.model.intercept_ == pytest.approx(by_row.model.intercept_, rel=1e-5)
    for key, value in by_row.metrics["train"].items():
        assert by_weight.metrics["train"][key] == pytest.approx(value, rel=1e-4), key


def test_outliers_pull_huber_less_than_squared(tmp_path, train_here):
    columns = linear_columns(500, 2)
    columns["y"][::20] += 50.0
    path = write_parquet(tmp_path / "a.parquet", columns)
    solver = {"name": "adam", "epochs": 60, "global_batch_size": 100, "schedule": "cosine"}
    errors = {}
    for loss in ("squared", "huber"):
        run = train_here(path, model={"loss": loss}, solver={**solver, "early_stop": None}, name=loss)
        errors[loss] = abs(run.model.intercept_ - 1.0)
    assert errors["squared"] == pytest.approx(2.5, abs=0.3)
    assert errors["huber"] < 0.5 * errors["squared"]


def test_data_sorted_by_the_target_converges(tmp_path, train_here):
    columns = linear_columns(6000, 3)
    order = np.argsort(columns["y"])
    shuffled = write_parquet(tmp_path / "plain.parquet", columns, row_group_size=250)
    arranged = write_parquet(
        tmp_path / "sorted.parquet", {k: v[order] for k, v in columns.items()}, row_group_size=250
    )
    solver = {"name": "sgd", "epochs": 10, "global_batch_size": 120, "schedule": "cosine"}
    expected, _ = least_squares(design(columns), columns["y"])
    for name, path in (("plain", shuffled), ("sorted", arranged)):
        run = train_here(path, solver=solver, name=name)
        np.testing.assert_allclose(run.model.coef_, expected, atol=0.02, err_msg=name)


def test_columns_whose_mean_is_a_million_spreads(tmp_path, train_here):
    columns = linear_columns(500, 2)
    coef, _ = least_squares(design(columns), columns["y"])
    columns["x0"] += 1e6
    columns["y"] += 1e6
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=100)
    run = train_here(path, solver={**TO_THE_OPTIMUM, "global_batch_size": 500})
    np.testing.assert_allclose(run.model.coef_, coef, rtol=1e-4)
    assert run.metrics["train"]["rmse"] == pytest.approx(0.1, rel=0.1)
    np.testing.assert_allclose(
        run.model.predict({name: columns[name][:5] for name in ("x0", "x1")}), columns["y"][:5], atol=0.5
    )


def test_the_same_job_gives_the_same_bits_and_another_seed_does_not(tmp_path, train_here):
    path = write_parquet(tmp_path / "a.parquet", linear_columns(2000, 3), row_group_size=300)
    runs = [
        train_here(path, solver={"name": "sgd", "epochs": 2, "seed": seed}, name=name)
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    assert runs[0].model.coef_.tolist() == runs[1].model.coef_.tolist()
    assert runs[0].model.coef_.tolist() != runs[2].model.coef_.tolist()


def test_the_step_size_fits_all_rows_where_the_first_ones_are_unlike_the_rest(tmp_path, train_here):
    """The first row groups have hardly any spread, the last have it all, and the features go together."""
    rng = np.random.default_rng(0)
    common = np.sort(np.abs(rng.normal(size=8000))) * rng.choice([-1.0, 1.0], size=8000)
    columns = {f"x{i}": common + 0.1 * rng.normal(size=8000) for i in range(20)}
    columns["y"] = sum(columns.values()) + 0.1 * rng.normal(size=8000)
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=400)
    run = train_here(path, solver={"name": "sgd"})
    assert run.metrics["train"]["r2"] > 0.999


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [1000, 10_000])
def test_sgd_with_its_own_step_size_finds_the_line(tmp_path, train_here, rows, seed):
    generator = np.random.default_rng(seed)
    x = generator.uniform(-3.0, 3.0, rows)
    y = 2.0 * x + 1.0 + generator.normal(0.0, 0.5, rows)
    path = write_parquet(tmp_path / "line.parquet", {"x": x, "y": y})
    run = train_here(path, solver={"name": "sgd", "epochs": 20})
    slope, intercept = np.polyfit(x, y, 1)
    assert run.model.predict({"x": [2.0]})[0] == pytest.approx(2.0 * slope + intercept, abs=0.03)
    assert run.model.coef_[0] == pytest.approx(slope, abs=0.01)
    assert run.model.intercept_ == pytest.approx(intercept, abs=0.02)
