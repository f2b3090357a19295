"""Cross-validation in the same pass chooses the penalty that fitting fold by fold would choose."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import ElasticNet, Ridge

from linreg_dist.model.describe import describe
from linreg_dist.solvers.exact.sums.folds import fold_of_rows, rows_per_run, spans_of_folds
from linreg_dist.verbs.stats import solve_statistics
from tests.solvers.problems import Problem, Train, features_of, make_problem

STRENGTHS = [0.001, 0.01, 0.1, 0.3, 1.0]


def _folds(problem: Problem, num_folds: int) -> np.ndarray:
    """The fold of each row, from its file and its place in it alone."""
    sizes = [300, 300, 300]
    return np.concatenate(
        [
            fold_of_rows(f"part-{i}.parquet", np.arange(n, dtype=np.uint64), num_folds)
            for i, n in enumerate(sizes)
        ]
    )


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_the_curve_is_that_of_fitting_each_fold(tmp_path: Path, train_here: Train, l1_ratio: float) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(
        problem.path,
        data={"features": features_of(problem)},
        tune={"l2": STRENGTHS, "l1_ratio": [l1_ratio], "folds": 4},
    )
    fold_N = _folds(problem, 4)
    curve = run.result["tune"]["points"]
    for point, strength in zip(curve, STRENGTHS, strict=True):
        for fold, mse in enumerate(point["fold_mse"]):
            train, test = fold_N != fold, fold_N == fold
            mean, std = problem.x[train].mean(0), problem.x[train].std(0)
            model = (
                ElasticNet(alpha=strength, l1_ratio=l1_ratio, tol=1e-13, max_iter=100_000)
                if l1_ratio
                else Ridge(alpha=strength * train.sum(), tol=1e-13)
            )
            model.fit((problem.x[train] - mean) / std, problem.y[train])
            error = problem.y[test] - model.predict((problem.x[test] - mean) / std)
            assert mse == pytest.approx(float((error**2).mean()), rel=1e-7)


def test_the_chosen_penalty_is_the_largest_within_one_standard_error_and_is_the_models(
    tmp_path: Path, train_here: Train
) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(
        problem.path, data={"features": features_of(problem)}, tune={"l2": STRENGTHS, "folds": 5}
    )
    tune = run.result["tune"]
    points = tune["points"]
    best = min(points, key=lambda point: point["mse"])
    allowed = [point["l2"] for point in points if point["mse"] <= best["mse"] + best["std_err"]]
    assert tune["chosen"] == {"l1": 0.0, "l2": max(allowed), "rule": "one standard error"}
    assert points[tune["best"]] == best
    fixed = train_here(
        problem.path, data={"features": features_of(problem)}, model={"l2": max(allowed)}, name="fixed"
    )
    np.testing.assert_allclose(run.model.coef_, fixed.model.coef_, rtol=1e-10)
    document = describe(run.model).to_json()
    assert document["penalty"] == {"l1": 0.0, "l2": max(allowed)}
    assert json.loads((run.path / "result.json").read_text())["tune"] == tune


def test_folds_do_not_depend_on_row_groups_lanes_or_threads(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    curves = []
    for lanes in (1, 2, 5):
        run = train_here(
            problem.path,
            data={"features": features_of(problem)},
            tune={"l2": STRENGTHS, "folds": 3},
            scaling={"virtual_shards": lanes},
            name=f"lanes-{lanes}",
        )
        curves.append([point["mse"] for point in run.result["tune"]["points"]])
    np.testing.assert_allclose(curves[1:], curves[:1] * 2, rtol=1e-11)


def test_another_grid_is_tried_on_saved_folds_without_the_data(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    data = {"features": features_of(problem)}
    run = train_here(problem.path, data=data, tune={"l2": [5.0], "folds": 3})
    again = solve_statistics(run.path, ["tune={l2: [0.001, 0.1], l1_ratio: [0, 1], folds: 3}"])
    expected = train_here(
        problem.path, data=data, tune={"l2": [0.001, 0.1], "l1_ratio": [0.0, 1.0], "folds": 3}, name="other"
    )
    assert again.details.tune.chosen.to_json() == expected.result["tune"]["chosen"]
    np.testing.assert_allclose(again.coef_, expected.model.coef_, rtol=1e-10)


def test_a_penalty_that_is_given_is_not_chosen(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(
        problem.path, data={"features": features_of(problem)}, tune={"l2": STRENGTHS, "folds": 3}
    )
    model = solve_statistics(run.path, ["model.l2=0.25"])
    assert model.details.penalty.to_json() == {"l1": 0.0, "l2": 0.25}
    assert model.details.tune is None


def test_a_hundred_penalties_cost_no_further_pass(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d")
    run = train_here(
        problem.path,
        data={"features": features_of(problem)},
        tune={"l2": np.geomspace(1e-4, 10, 50).tolist(), "l1_ratio": [0.0, 1.0], "folds": 5},
    )
    assert len(run.result["tune"]["points"]) == 100
    assert run.result["solver"]["epochs"] == 1


def test_folds_are_of_equal_size_and_independent_of_the_files_name() -> None:
    rows = np.arange(100_000, dtype=np.uint64)
    counts = np.bincount(fold_of_rows("a", rows, 7))
    assert len(counts) == 7
    assert np.abs(counts / 100_000 - 1 / 7).max() < 0.005
    together = (fold_of_rows("a", rows, 7) == fold_of_rows("b", rows, 7)).mean()
    assert together == pytest.approx(1 / 7, abs=0.01)
    np.testing.assert_array_equal(fold_of_rows("a", rows[500:], 7), fold_of_rows("a", rows, 7)[500:])


@pytest.mark.parametrize("run", [1, 7, 64])
def test_the_ranges_of_the_folds_hold_the_rows_of_the_folds(run: int) -> None:
    everything = np.arange(10_000, 20_000, dtype=np.uint64)
    some = everything[np.random.default_rng(0).random(10_000) < 0.7]
    for rows, given in ((everything, range(10_000, 20_000)), (everything, everything), (some, some)):
        fold_N = fold_of_rows("a", rows, 5, run)
        for fold, spans in enumerate(spans_of_folds("a", given, 5, run)):
            taken = np.concatenate([np.arange(*span) for span in spans])
            np.testing.assert_array_equal(taken, np.flatnonzero(fold_N == fold))
    assert spans_of_folds("a", range(0), 3, run) == [[], [], []]
    assert (rows_per_run(500), rows_per_run(100_000), rows_per_run(10**8)) == (1, 390, 4096)


@pytest.mark.parametrize("validation", [{"method": "none"}, {"method": "hash", "fraction": 0.2}])
def test_large_files_are_dealt_to_folds_in_runs(
    tmp_path: Path, train_here: Train, validation: dict[str, object]
) -> None:
    problem = make_problem(tmp_path / "d", num_rows=60_000, num_files=2)  # 30,000 rows each: runs of 117
    for file in problem.path.iterdir():
        pq.write_table(pq.read_table(file), file, row_group_size=4_000)
    curves = []
    for lanes in (1, 5):
        run = train_here(
            problem.path,
            data={"features": features_of(problem), "validation": validation},
            tune={"l2": [0.1, 1.0], "folds": 3},
            scaling={"virtual_shards": lanes},
            name=f"lanes{lanes}",
        )
        curves.append([point["fold_mse"] for point in run.result["tune"]["points"]])
    np.testing.assert_allclose(curves[0], curves[1], rtol=1e-12)
    if validation["method"] != "none":
        return
    rows = np.arange(30_000, dtype=np.uint64)
    fold_N = np.concatenate([fold_of_rows(f"part-{i}.parquet", rows, 3, 117) for i in range(2)])
    assert np.abs(np.bincount(fold_N) - 20_000).max() <= 2 * 117
    for fold in range(3):
        train, test = fold_N != fold, fold_N == fold
        mean, std = problem.x[train].mean(0), problem.x[train].std(0)
        model = Ridge(alpha=0.1 * train.sum()).fit((problem.x[train] - mean) / std, problem.y[train])
        error = problem.y[test] - model.predict((problem.x[test] - mean) / std)
        assert curves[0][0][fold] == pytest.approx(float((error**2).mean()), rel=1e-7)
