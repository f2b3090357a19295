"""Whole jobs in this process on data that is small, empty in places, missing values or useless."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest

from linreg_dist.errors import DataError
from tests.parquet import linear_columns, write_parquet

FULL_BATCH = {
    "name": "sgd",
    "epochs": 200,
    "early_stop": None,
    "shuffle": False,
    "global_batch_size": 10_000,
}


@pytest.fixture(params=["iterative", "exact"])
def solver(request):
    """The settings of a solver that comes close to the optimum."""
    return FULL_BATCH if request.param == "iterative" else {"name": "exact"}


def lstsq(columns: dict[str, np.ndarray], names: list[str]) -> np.ndarray:
    x = np.column_stack([columns[name] for name in names] + [np.ones(len(columns["y"]))])
    return np.linalg.lstsq(x, columns["y"], rcond=None)[0]


def assert_fits(run, columns, names, atol=1e-3):
    expected = lstsq(columns, names)
    np.testing.assert_allclose(run.model.coef_, expected[:-1], atol=atol)
    assert run.model.intercept_ == pytest.approx(expected[-1], abs=atol)


def test_rows_with_missing_values_are_dropped_and_counted(tmp_path, train_here, solver):
    columns = linear_columns(200, 2)
    holed = {name: values.copy() for name, values in columns.items()}
    holed["x0"][:10] = np.nan
    holed["x1"][5:20] = np.inf
    holed["y"][30:33] = np.nan
    path = write_parquet(tmp_path / "a.parquet", holed, row_group_size=60)
    run = train_here(path, data={"missing": "drop"}, solver=solver)
    kept = np.r_[20:30, 33:200]
    assert_fits(run, {name: values[kept] for name, values in columns.items()}, ["x0", "x1"])
    assert run.result["rows"] == {
        "train": 177,
        "validation": 0,
        "dropped": {"filter": 0, "missing": 23},
    }
    assert run.result["missing_values"] == {"x0": 10, "x1": 15, "y": 3}


def test_a_step_without_rows_moves_nothing(tmp_path, train_here):
    """Neither momentum nor the penalty goes on where no row is left of a step."""
    columns = linear_columns(100, 2)
    hole = {**columns, "x0": np.full(100, np.nan)}
    write_parquet(tmp_path / "alone" / "0.parquet", columns)
    write_parquet(tmp_path / "both" / "0.parquet", columns)
    write_parquet(tmp_path / "both" / "1.parquet", hole)
    solver = {"name": "sgd", "learning_rate": 0.05, "momentum": 0.9, "shuffle": False, "epochs": 1}
    shared = {"model": {"l2": 0.1}, "scaling": {"virtual_shards": 1}, "data": {"missing": "drop"}}
    # Of ten steps over both files the last five have no row; the first five are those of the one file.
    both, alone = (
        train_here(
            tmp_path / name,
            solver={**solver, "global_batch_size": batch},
            **shared,
            run={"storage_path": str(tmp_path / "runs" / name)},
        )
        for name, batch in (("both", 10), ("alone", 20))
    )
    assert both.result["rows"]["dropped"]["missing"] == 100
    np.testing.assert_allclose(both.model.coef_, alone.model.coef_, rtol=1e-12)


def test_missing_features_take_their_training_mean_in_fit_and_prediction(tmp_path, train_here, solver):
    columns = linear_columns(200, 2)
    holed = {name: values.copy() for name, values in columns.items()}
    holed["x0"][:10] = np.nan
    holed["y"][30:33] = np.nan
    path = write_parquet(tmp_path / "a.parquet", holed, row_group_size=60)
    run = train_here(path, data={"missing": "mean"}, solver=solver)
    kept = np.r_[0:30, 33:200]
    filled = {name: holed[name][kept] for name in holed}
    mean = np.nanmean(filled["x0"])
    filled["x0"] = np.where(np.isnan(filled["x0"]), mean, filled["x0"])
    assert_fits(run, filled, ["x0", "x1"])
    assert run.result["rows"]["dropped"]["missing"] == 3
    predicted = run.model.predict({"x0": [None, mean], "x1": [1.0, 1.0]})
    assert predicted[0] == pytest.approx(predicted[1])


def test_missing_levels_take_their_shares(tmp_path, train_here, solver):
    levels = np.array(["a", "b", "b", "c"] * 50, dtype=object)
    y = np.where(levels == "b", 3.0, 1.0) + np.linspace(0, 0.01, 200)
    levels[:2] = None
    path = write_parquet(tmp_path / "a.parquet", {"s": levels, "y": y})
    run = train_here(path, data={"missing": "mean"}, solver=solver)
    known = levels[levels != None]  # noqa: E711  # element by element
    shares = [np.mean(known == level) for level in ("b", "c")]
    expected = run.model.intercept_ + run.model.coef_ @ shares
    assert run.model.predict({"s": [None]})[0] == pytest.approx(expected)
    assert list(run.model.feature_names_in_) == ["s=b", "s=c"]


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("column", ["x1", "y"])
def test_a_missing_value_where_none_is_allowed_names_file_column_and_count(
    tmp_path, train_here, solver, value, column
):
    columns = linear_columns(100, 2)
    write_parquet(tmp_path / "d" / "a.parquet", columns)
    values = columns[column].tolist()
    values[3:5] = [value, value]
    write_parquet(tmp_path / "d" / "b.parquet", {**columns, column: values})
    with pytest.raises(DataError) as raised:
        train_here(tmp_path / "d", solver=solver)
    message = str(raised.value)
    assert f"b.parquet (row group 0): column '{column}' has 2 null, NaN or infinite values" in message
    assert "data.missing" in message
    result = json.loads((tmp_path / "runs" / "job" / "result.json").read_text())
    assert result["status"] == "failed"
    assert result["error"]["type"] == "DataError"


@pytest.mark.parametrize("missing", ["error", "drop", "mean"])
def test_a_column_without_any_value_is_an_error_under_every_rule(tmp_path, train_here, solver, missing):
    columns = {**linear_columns(50, 1), "gone": pa.array([None] * 50, pa.float64())}
    path = write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(DataError, match=r"column 'gone' has no value in any of 50 rows.*a\.parquet"):
        train_here(path, data={"missing": missing}, solver=solver)


def test_no_rows_after_the_filter_is_an_error(tmp_path, train_here, solver):
    path = write_parquet(tmp_path / "a.parquet", linear_columns(50, 1))
    with pytest.raises(DataError, match=r"no rows after data\.filter: all 50 rows of .*loosen the filter"):
        train_here(path, data={"filter": [["y", ">", 1e9]]}, solver=solver)


def test_no_training_rows_is_an_error_that_says_where_they_went(tmp_path, train_here, solver):
    columns = {**linear_columns(50, 1), "held": np.ones(50, dtype=bool)}
    path = write_parquet(tmp_path / "a.parquet", columns)
    data = {"validation": {"method": "column", "column": "held"}, "filter": [["x0", ">", 0.0]]}
    with pytest.raises(DataError, match=r"no training rows: of 50 rows, \d+ were filtered out, 0 dropped"):
        train_here(path, data=data, solver=solver)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3.0, 1e9 + 0.1])
def test_a_constant_feature_has_coefficient_zero(tmp_path, train_here, solver, value):
    columns = linear_columns(200, 1)
    path = write_parquet(tmp_path / "a.parquet", {**columns, "c": np.full(200, value)}, row_group_size=30)
    run = train_here(path, solver=solver)
    assert run.model.coef_[1] == pytest.approx(0.0, abs=1e-12)
    expected = lstsq(columns, ["x0"])
    assert run.model.coef_[0] == pytest.approx(expected[0], abs=1e-4)
    assert run.model.intercept_ == pytest.approx(expected[1], abs=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6 / 3.0])
def test_a_constant_target_is_the_intercept_and_has_no_r2(tmp_path, train_here, solver, value):
    columns = {**linear_columns(200, 2), "y": np.full(200, value)}
    path = write_parquet(tmp_path / "a.parquet", columns, row_group_size=30)
    run = train_here(path, solver=solver)
    np.testing.assert_allclose(run.model.coef_, 0.0, atol=1e-12)
    assert run.model.intercept_ == pytest.approx(value)
    assert run.metrics["train"]["r2"] is None
    assert run.metrics["train"]["mse"] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_one_row_is_its_own_model(tmp_path, train_here, name):
    path = write_parquet(tmp_path / "a.parquet", {"x": [3.0], "y": [7.0]})
    run = train_here(path, solver={"name": name})
    assert run.model.predict({"x": [3.0]})[0] == pytest.approx(7.0)
    assert run.result["rows"]["train"] == 1


def test_one_row_per_file_and_an_empty_file_among_them(tmp_path, train_here, solver):
    columns = linear_columns(30, 2)
    for i in range(30):
        row = {name: values[i : i + 1] for name, values in columns.items()}
        write_parquet(tmp_path / "d" / f"{i:02d}.parquet", row)
    nothing = pa.table({name: pa.array([], pa.null()) for name in columns})
    for name in ("00-empty", "99-empty"):
        write_parquet(tmp_path / "d" / f"{name}.parquet", nothing)
    run = train_here(tmp_path / "d", solver=solver)
    assert_fits(run, columns, ["x0", "x1"])
    assert run.result["rows"]["train"] == 30


def test_the_order_and_the_number_of_files_do_not_matter_to_the_optimum(tmp_path, train_here, solver):
    columns = linear_columns(120, 2)
    write_parquet(tmp_path / "d" / "k=1" / "a.parquet", {n: v[:7] for n, v in columns.items()})
    write_parquet(tmp_path / "d" / "k=1" / "b.parquet", {n: v[7:8] for n, v in columns.items()})
    write_parquet(
        tmp_path / "d" / "k=2" / "a.parquet", {n: v[8:] for n, v in columns.items()}, row_group_size=50
    )
    run = train_here(tmp_path / "d", data={"exclude": ["k"]}, solver=solver)
    assert_fits(run, columns, ["x0", "x1"])


def test_features_in_very_large_and_very_small_units(tmp_path, train_here, solver):
    columns = linear_columns(300, 2)
    path = write_parquet(
        tmp_path / "a.parquet",
        {"x0": columns["x0"] * 1e20, "x1": columns["x1"] * 1e-25, "y": columns["y"]},
    )
    run = train_here(path, solver=solver)
    np.testing.assert_allclose(run.model.coef_ * [1e20, 1e-25], lstsq(columns, ["x0", "x1"])[:2], atol=1e-3)


def test_weights_that_are_all_zero_are_an_error(tmp_path, train_here, solver):
    columns = {**linear_columns(50, 1), "w": np.zeros(50)}
    path = write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(DataError, match=r"weights of all 50 training rows are 0.*'w'"):
        train_here(path, data={"weight": "w"}, solver=solver)


def test_a_level_that_only_validates_does_not_stop_the_job(tmp_path, train_here, solver):
    columns = {
        "s": ["a", "b"] * 50 + ["z"] * 4,
        "y": [1.0, 2.0] * 50 + [1.0] * 4,
        "w": np.random.default_rng(0).uniform(0.5, 2.0, 104),
        "held": [False] * 100 + [True] * 4,
    }
    path = write_parquet(tmp_path / "a.parquet", columns)
    data = {"validation": {"method": "column", "column": "held"}, "weight": "w"}
    run = train_here(path, data=data, solver=solver)
    assert list(run.model.feature_names_in_) == ["s=b", "s=z"]
    assert run.model.coef_.tolist() == [pytest.approx(1.0, abs=1e-4), 0.0]
    assert run.metrics["validation"]["mse"] == pytest.approx(0.0, abs=1e-6)


def test_a_level_that_every_training_row_has_is_no_slope(tmp_path, train_here, solver):
    """Under weights its column of ones must not pass for one with a spread."""
    columns = {
        "s": ["b"] * 100 + ["a"] * 4,
        "x": np.linspace(0.0, 1.0, 104),
        "w": np.random.default_rng(0).uniform(0.5, 2.0, 104),
        "y": np.linspace(0.0, 1.0, 104),
        "held": [False] * 100 + [True] * 4,
    }
    path = write_parquet(tmp_path / "a.parquet", columns)
    data = {"validation": {"method": "column", "column": "held"}, "weight": "w"}
    run = train_here(path, data=data, solver=solver)
    assert run.model.coef_[0] == pytest.approx(0.0, abs=1e-6)
    assert run.metrics["validation"]["mse"] < 1e-3
