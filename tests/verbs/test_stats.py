"""Saved statistics merge, subtract and solve to what a run over the same rows gives; no data is read."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from sklearn.linear_model import Ridge

from linreg_dist.cli import main as cli_main
from linreg_dist.console.tables import result_table
from linreg_dist.errors import DataError, SpecError
from linreg_dist.model.describe import describe
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.verbs.stats import (
    merge_statistics,
    open_statistics,
    solve_statistics,
    subtract_statistics,
)
from tests.solvers.problems import Problem, Train, features_of, make_problem

Call = Callable[..., tuple[int, str, str]]
VALIDATION = {"method": "hash", "fraction": 0.3}


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    def run(*arguments: Any) -> tuple[int, str, str]:
        code = cli_main.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def _train(train: Train, path: Path, problem: Problem, name: str, **sections: Any) -> Path:
    data = {"features": features_of(problem), "validation": VALIDATION, **sections.pop("data", {})}
    return train(path, data=data, name=name, **sections).path


@pytest.fixture
def parts(tmp_path: Path, train_here: Train) -> tuple[Problem, Path, Path, Path]:
    """A problem, the run over all of it, and those over its first two files and its last."""
    problem = make_problem(tmp_path / "d")
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    for file in problem.path.iterdir():
        shutil.copy2(file, tmp_path / ("new" if file.name == "part-2.parquet" else "old") / file.name)
    return (
        problem,
        _train(train_here, problem.path, problem, "whole"),
        _train(train_here, tmp_path / "old", problem, "old"),
        _train(train_here, tmp_path / "new", problem, "new"),
    )


def _coefficients(document: dict[str, Any]) -> np.ndarray:
    return np.array([document["intercept"], *(row["coef"] for row in document["coefficients"])])


def test_merged_statistics_give_the_run_over_all_files(
    parts: tuple[Problem, Path, Path, Path], tmp_path: Path
) -> None:
    _, whole, old, new = parts
    merge_statistics([old, new], tmp_path / "m.safetensors")
    found = describe(solve_statistics(tmp_path / "m.safetensors")).to_json()
    expected = describe(LinearModel.load(whole)).to_json()
    np.testing.assert_allclose(_coefficients(found), _coefficients(expected), rtol=1e-11)
    for key, value in expected["fit"].items():
        assert found["fit"][key] == pytest.approx(value, rel=1e-9), key
    assert found["rows"] == expected["rows"]
    for split in ("train", "validation"):
        assert found["metrics"][split]["mse"] == pytest.approx(expected["metrics"][split]["mse"], rel=1e-9)


def test_subtracting_a_part_gives_the_run_over_the_rest(
    parts: tuple[Problem, Path, Path, Path], tmp_path: Path
) -> None:
    _, whole, old, new = parts
    subtract_statistics(whole, new, tmp_path / "rest.safetensors")
    found = describe(solve_statistics(tmp_path / "rest.safetensors")).to_json()
    expected = describe(LinearModel.load(old)).to_json()
    np.testing.assert_allclose(_coefficients(found), _coefficients(expected), rtol=1e-9)
    assert found["rows"] == expected["rows"]


def test_overlapping_statistics_are_refused_and_the_shared_file_is_named(
    parts: tuple[Problem, Path, Path, Path], tmp_path: Path
) -> None:
    _, whole, _, new = parts
    with pytest.raises(DataError, match=r"overlap: 1 piece.*part-2\.parquet"):
        merge_statistics([whole, new], tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_a_file_is_the_same_data_under_another_name(
    parts: tuple[Problem, Path, Path, Path], tmp_path: Path, train_here: Train
) -> None:
    problem, _, _, new = parts
    (tmp_path / "renamed").mkdir()
    shutil.copy2(problem.path / "part-2.parquet", tmp_path / "renamed" / "other.parquet")
    renamed = _train(train_here, tmp_path / "renamed", problem, "renamed")
    with pytest.raises(DataError, match="overlap"):
        merge_statistics([new, renamed], tmp_path / "m.safetensors")


def test_equal_files_of_one_data_set_all_count(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d", num_files=1)
    shutil.copy2(problem.path / "part-0.parquet", problem.path / "copy.parquet")
    run = train_here(problem.path, data={"features": features_of(problem)})
    assert open_statistics(run.path).moments.n == 2 * len(problem.x)


def test_statistics_that_were_made_in_another_way_are_refused(
    parts: tuple[Problem, Path, Path, Path], tmp_path: Path, train_here: Train
) -> None:
    problem, _, old, _ = parts
    other = _train(train_here, tmp_path / "new", problem, "other", data={"filter": [["x0", "<", 1.0]]})
    with pytest.raises(DataError, match="different schema"):
        merge_statistics([old, other], tmp_path / "m.safetensors")


def test_a_subset_of_the_features_is_solved_as_if_trained_on_it(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(problem.path, data={"features": [*features_of(problem), "firm"]})
    model = solve_statistics(run.path, features=["x2", "x0"])
    expected = np.linalg.lstsq(problem.with_ones[:, [0, 3, 1]], problem.y, rcond=None)[0]
    np.testing.assert_allclose(model.coef_, expected[1:], rtol=1e-10)
    assert model.intercept_ == pytest.approx(expected[0], rel=1e-10)
    assert len(solve_statistics(run.path, features=["firm"]).coef_) == 29
    with pytest.raises(DataError, match=r"no feature 'frm'; did you mean 'firm'"):
        solve_statistics(run.path, features=["frm"])


def test_another_penalty_is_solved_without_the_data(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(problem.path, data={"features": features_of(problem)})
    shutil.rmtree(problem.path)
    model = solve_statistics(run.path, {"model.l2": 0.5, "model.standardize": False})
    expected = Ridge(alpha=0.5 * len(problem.y), tol=1e-14).fit(problem.x, problem.y)
    np.testing.assert_allclose(model.coef_, expected.coef_, rtol=1e-9)
    assert "penalised" in describe(model).to_json()["inference_reason"]


def test_what_was_summed_cannot_be_changed_afterwards(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(problem.path, data={"features": features_of(problem)})
    with pytest.raises(SpecError, match=r"--set data\.missing would change what was summed"):
        solve_statistics(run.path, ["data.missing=drop"])
    with pytest.raises(SpecError, match="statistics of 0 folds"):
        solve_statistics(run.path, ["tune={l2: [0.1, 1.0]}"])


def test_robust_errors_are_refused_with_the_reason(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(problem.path, data={"features": features_of(problem)})
    document = describe(solve_statistics(run.path, ["model.covariance=HC3"])).to_json()
    assert "HC3 standard errors need a second pass" in document["inference_reason"]
    assert all(row["std_err"] is None for row in document["coefficients"])


def test_the_kind_of_errors_can_be_changed_back_to_what_statistics_give(
    tmp_path: Path, train_here: Train
) -> None:
    problem = make_problem(tmp_path / "d")
    data = {"features": features_of(problem)}
    run = train_here(problem.path, data={**data, "cluster": "firm"}, model={"covariance": "cluster"})
    assert (
        "cluster standard errors need" in describe(solve_statistics(run.path)).to_json()["inference_reason"]
    )
    classical = train_here(problem.path, data=data, name="classical")
    found = describe(solve_statistics(run.path, ["model.covariance=nonrobust"])).to_json()
    for row, expected in zip(
        found["coefficients"], describe(classical.model).to_json()["coefficients"], strict=True
    ):
        assert row.pop("feature") == expected.pop("feature")
        assert row == pytest.approx(expected, rel=1e-9)


def test_digits_that_sums_cannot_give_are_missed_aloud(tmp_path: Path, train_here: Train, call: Call) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    x = np.linspace(1.0, 2.0, 200)
    table = pa.table({"a": x, "b": x**2, "c": x**3, "d": x**4, "y": 1 + x + np.sin(40 * x)})
    pq.write_table(table, tmp_path / "powers.parquet")
    run = train_here(tmp_path / "powers.parquet")
    assert run.result["solver"]["method"] == "double_double"
    assert run.result["solver"]["accuracy"] is None
    code, out, _ = call("stats", "solve", run.path)
    assert code == 0
    assert "may lack digits: condition number" in " ".join(out.split())
    assert "may lack digits" not in " ".join(call("show", run.path)[1].split())


class TestCommandLine:
    def test_solve_prints_what_show_prints(self, parts: tuple[Problem, Path, Path, Path], call: Call) -> None:
        _, whole, _, _ = parts
        solved, shown = (
            json.loads(call(*verb, whole, "--json")[1]) for verb in (("stats", "solve"), ("show",))
        )
        assert set(shown) <= set(solved)
        np.testing.assert_allclose(_coefficients(solved), _coefficients(shown), rtol=1e-12)
        assert solved["coefficients"][0]["std_err"] == pytest.approx(shown["coefficients"][0]["std_err"])

    def test_merge_subtract_and_solve_work_on_files_and_run_folders(
        self, parts: tuple[Problem, Path, Path, Path], call: Call, tmp_path: Path
    ) -> None:
        _, whole, old, new = parts
        merged, rest = tmp_path / "m.safetensors", tmp_path / "r.safetensors"
        assert call("stats", "merge", old, new / "statistics.safetensors", "-o", merged)[0] == 0
        assert call("stats", "subtract", merged, new, "-o", rest)[0] == 0
        code, out, _ = call("stats", "solve", rest, "--set", "model.l2=0.1", "--features", "x0,x2")
        assert code == 0
        assert "x2" in out
        assert "x1" not in out
        code, _, err = call("stats", "merge", whole, new, "-o", merged)
        assert code == 3
        assert "overlap" in err

    def test_solve_saves_a_model_that_predicts(
        self, parts: tuple[Problem, Path, Path, Path], call: Call, tmp_path: Path
    ) -> None:
        problem, whole, _, _ = parts
        assert call("stats", "solve", whole, "-o", tmp_path / "model")[0] == 0
        saved = LinearModel.load(tmp_path / "model")
        expected = LinearModel.load(whole).predict(problem.x)
        np.testing.assert_allclose(saved.predict(problem.x), expected, rtol=1e-10)

    def test_a_place_without_statistics_is_exit_3(self, call: Call, tmp_path: Path) -> None:
        code, out, err = call("stats", "solve", tmp_path, "--json")
        assert code == 3
        assert "no statistics at" in err
        assert json.loads(out)["error"]["exit_code"] == 3


def test_a_mean_absolute_error_that_is_missing_has_its_reason_everywhere(
    tmp_path: Path, train_here: Train, call: Call
) -> None:
    problem = make_problem(tmp_path / "d")
    data = {"features": features_of(problem)}
    kept = train_here(problem.path, data=data, name="kept")
    assert kept.metrics["train"]["mae"] > 0
    assert "mae_reason" not in kept.metrics["train"]
    run = train_here(problem.path, data=data, scaling={"memory_budget": 0, "disk_budget": 0}, name="not_kept")
    assert run.metrics["train"]["mae"] is None
    assert "linreg-dist evaluate gives it" in run.metrics["train"]["mae_reason"]
    status, out, _ = call("show", str(run.path))
    assert status == 0
    assert "not kept in memory" in " ".join(out.split())
    assert "not kept in memory" in call("show", str(run.path), "--json")[1]
    assert "no row was read again" in call("stats", "solve", str(run.path), "--json")[1]
    stream = io.StringIO()
    Console(width=200, file=stream).print(result_table(run.document))
    assert "no MAE" in stream.getvalue()
