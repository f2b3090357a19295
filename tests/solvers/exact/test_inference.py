"""Standard errors, tests and fit statistics through a whole run agree with statsmodels."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import statsmodels.api as sm

from linreg_dist.cli import main as cli_main
from linreg_dist.errors import DataError, SpecError
from linreg_dist.model.describe import describe
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.verbs.stats import solve_statistics
from tests.solvers.problems import Problem, Train, features_of, make_problem


def _table(document: dict[str, Any], key: str) -> np.ndarray:
    rows = [document["intercept_inference"], *document["coefficients"]]
    return np.array([row[key] for row in rows])


def _assert_like(document: dict[str, Any], expected: Any) -> None:
    np.testing.assert_allclose(
        [document["intercept"], *(row["coef"] for row in document["coefficients"])],
        expected.params,
        rtol=1e-9,
    )
    np.testing.assert_allclose(_table(document, "std_err"), expected.bse, rtol=1e-8)
    np.testing.assert_allclose(_table(document, "t"), expected.tvalues, rtol=1e-8)
    np.testing.assert_allclose(_table(document, "p"), expected.pvalues, rtol=1e-7, atol=1e-14)
    np.testing.assert_allclose(_table(document, "ci_low"), expected.conf_int()[:, 0], rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(_table(document, "ci_high"), expected.conf_int()[:, 1], rtol=1e-8, atol=1e-10)
    fit = document["fit"]
    assert fit["r2"] == pytest.approx(expected.rsquared, rel=1e-9)
    assert fit["f"] == pytest.approx(expected.fvalue, rel=1e-8)
    assert fit["df_resid"] == expected.df_resid


def _fit(train: Train, problem: Problem, covariance: str = "nonrobust", **data: Any) -> dict[str, Any]:
    run = train(
        problem.path, data={"features": features_of(problem), **data}, model={"covariance": covariance}
    )
    return describe(run.model).to_json()


@pytest.mark.parametrize("mean", [0.0, 1e5])
@pytest.mark.parametrize("covariance", ["nonrobust", "HC0", "HC1", "HC2", "HC3"])
def test_standard_errors_are_those_of_statsmodels(
    tmp_path: Path, train_here: Train, covariance: str, mean: float
) -> None:
    problem = make_problem(tmp_path / "d", mean=mean)
    expected = sm.OLS(problem.y, problem.with_ones).fit(cov_type=covariance)
    document = _fit(train_here, problem, covariance)
    if mean:  # statsmodels loses digits of the intercept there
        slopes = [row["std_err"] for row in document["coefficients"]]
        np.testing.assert_allclose(slopes, expected.bse[1:], rtol=1e-7)
    else:
        _assert_like(document, expected)


@pytest.mark.parametrize("weight_type", ["analytic", "frequency"])
@pytest.mark.parametrize("covariance", ["nonrobust", "HC1", "HC3"])
def test_weights_mean_what_they_are_declared_to_mean(
    tmp_path: Path, train_here: Train, covariance: str, weight_type: str
) -> None:
    problem = make_problem(tmp_path / "d")
    document = _fit(train_here, problem, covariance, weight="w", weight_type=weight_type)
    if weight_type == "analytic":
        expected = sm.WLS(problem.y, problem.with_ones, problem.weight).fit(cov_type=covariance)
    else:  # a row of weight 3 stands for three rows
        times = problem.weight.astype(int)
        expected = sm.OLS(np.repeat(problem.y, times), np.repeat(problem.with_ones, times, axis=0)).fit(
            cov_type=covariance
        )
    _assert_like(document, expected)
    assert document["fit"]["n"] == expected.nobs


def test_cluster_robust_errors_are_those_of_statsmodels(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    expected = sm.OLS(problem.y, problem.with_ones).fit(
        cov_type="cluster", cov_kwds={"groups": problem.cluster}
    )
    document = _fit(train_here, problem, "cluster", cluster="firm")
    np.testing.assert_allclose(_table(document, "std_err"), expected.bse, rtol=1e-8)
    np.testing.assert_allclose(_table(document, "p"), expected.pvalues, rtol=1e-7, atol=1e-14)
    assert document["covariance"] == "cluster"


def test_clusters_follow_the_rows_that_train(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    half = np.flatnonzero(problem.x[:, 0] < 0)
    expected = sm.OLS(problem.y[half], problem.with_ones[half]).fit(
        cov_type="cluster", cov_kwds={"groups": problem.cluster[half]}
    )
    document = _fit(train_here, problem, "cluster", cluster="firm", filter=[["x0", "<", 0.0]])
    np.testing.assert_allclose(_table(document, "std_err"), expected.bse, rtol=1e-8)


def test_a_cluster_column_that_is_not_there_is_named(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    with pytest.raises(DataError, match=r"'frm' \(cluster\); did you mean 'firm'"):
        _fit(train_here, problem, "cluster", cluster="frm")


def test_variance_inflation_is_that_of_the_correlation_matrix(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    document = _fit(train_here, problem)
    expected = np.diag(np.linalg.inv(np.corrcoef(problem.x.T)))
    np.testing.assert_allclose([row["vif"] for row in document["coefficients"]], expected, rtol=1e-9)


def test_duplicated_columns_are_named_and_have_no_standard_errors(tmp_path: Path, train_here: Train) -> None:
    import pyarrow.parquet as pq

    problem = make_problem(tmp_path / "d", num_files=1)
    file = problem.path / "part-0.parquet"
    table = pq.read_table(file)
    pq.write_table(table.append_column("copy", table.column("x1")), file)
    run = train_here(
        problem.path,
        data={"features": [*features_of(problem), "copy"]},
        model={"covariance": "HC1"},
    )
    document = describe(run.model).to_json()
    assert "combinations of others" in document["inference_reason"]
    assert "x1" in document["inference_reason"]
    assert "copy" in document["inference_reason"]
    predicted = run.model.predict(pq.read_table(file))
    expected = problem.with_ones @ np.linalg.lstsq(problem.with_ones, problem.y, rcond=None)[0]
    np.testing.assert_allclose(predicted, expected, rtol=1e-8, atol=1e-9)


def test_the_table_says_which_standard_errors_it_shows(
    tmp_path: Path, train_here: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    from linreg_dist.cli import main as cli_main

    problem = make_problem(tmp_path / "d")
    run = train_here(problem.path, data={"features": features_of(problem)}, model={"covariance": "HC3"})
    assert cli_main.run(["show", str(run.path)]) == 0
    assert "robust to unequal variances (HC3)" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("covariance", ["nonrobust", "HC0", "HC3", "cluster"])
def test_the_covariance_matrix_is_that_of_statsmodels(
    tmp_path: Path,
    train_here: Train,
    covariance: str,
    fit_intercept: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:
    problem = make_problem(tmp_path / "d", num_targets=2)
    run = train_here(
        problem.path,
        data={
            "features": features_of(problem),
            "target": ["y", "y1"],
            **({"cluster": "firm"} if covariance == "cluster" else {}),
        },
        model={"covariance": covariance, "fit_intercept": fit_intercept},
    )
    names = ["(intercept)", *features_of(problem)] if fit_intercept else features_of(problem)
    assert list(run.model.cov_names) == names
    x = problem.with_ones if fit_intercept else problem.x
    options = {"cov_kwds": {"groups": problem.cluster}} if covariance == "cluster" else {}
    expected = {
        target: sm.OLS(y, x).fit(cov_type=covariance, **options).cov_params()
        for target, y in (("y", problem.y), ("y1", 2 * problem.y + problem.x[:, 1] ** 2))
    }
    for target, matrix in expected.items():
        scale = np.sqrt(np.outer(np.diag(matrix), np.diag(matrix)))
        np.testing.assert_allclose(run.model.cov_params(target) / scale, matrix / scale, atol=1e-9)
    np.testing.assert_array_equal(run.model.cov_params(), run.model.cov_params("y"))
    with pytest.raises(SpecError, match="no target 'z'; there are y, y1"):
        run.model.cov_params("z")
    assert cli_main.run(["show", str(run.path), "--covariance", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [each["cov_params"]["names"] for each in document["targets"]] == [names, names]
    np.testing.assert_array_equal(document["cov_params"]["matrix"], run.model.cov_params())
    assert cli_main.run(["show", str(run.path), "--covariance"]) == 0
    header, *lines = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert header == ["target", "", *names]
    assert [line[:2] for line in lines] == [[target, name] for target in ("y", "y1") for name in names]
    read = np.array([[float(value) for value in line[2:]] for line in lines])
    np.testing.assert_array_equal(read[len(names) :], run.model.cov_params("y1"))


def test_a_model_without_a_covariance_matrix_says_why(
    tmp_path: Path, train_here: Train, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = make_problem(tmp_path / "d")
    data = {"features": features_of(problem)}
    run = train_here(problem.path, data=data, model={"l2": 0.1})
    with pytest.raises(
        SpecError, match=r"no covariance matrix: the coefficients are penalised \(l1 0, l2 0.1"
    ):
        run.model.cov_params()
    assert cli_main.run(["show", str(run.path), "--covariance"]) == 2
    assert "penalised" in capsys.readouterr().err
    assert cli_main.run(["show", str(run.path), "--covariance", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["cov_params"] is None
    steps = train_here(problem.path, data=data, solver={"name": "adam", "epochs": 1}, name="steps")
    with pytest.raises(SpecError, match="only the exact solver"):
        steps.model.cov_params()


def test_statistics_give_the_covariance_matrix_too(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(problem.path, data={"features": features_of(problem)})
    again = solve_statistics(run.path, features=["x2", "x0"])
    expected = sm.OLS(problem.y, sm.add_constant(problem.x[:, [2, 0]])).fit().cov_params()
    np.testing.assert_allclose(again.cov_params(), expected, rtol=1e-8, atol=1e-12)
    again.save(tmp_path / "m")
    LinearModel.load(tmp_path / "m").save(tmp_path / "m")
    np.testing.assert_array_equal(LinearModel.load(tmp_path / "m").cov_params(), again.cov_params())
    assert again.cov_names == ("(intercept)", "x2", "x0")
