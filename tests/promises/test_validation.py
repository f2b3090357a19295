"""Whole jobs in this process: what is held out, when training stops, what is written."""

from __future__ import annotations

import json

import numpy as np
import pytest

from linreg_dist.errors import RunFailedError
from tests.parquet import linear_columns, write_parquet


def lines_of(run) -> list[dict]:
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if "epoch" in line]


@pytest.mark.parametrize("method", ["hash", "column", "path"])
def test_validation_metrics_are_those_of_the_held_out_rows(tmp_path, train_here, method):
    columns = linear_columns(400, 2)
    held = np.arange(400) % 5 == 0
    data = {"features": ["x0", "x1"]}
    if method == "path":
        path = write_parquet(tmp_path / "train.parquet", {n: v[~held] for n, v in columns.items()})
        other = write_parquet(tmp_path / "held.parquet", {n: v[held] for n, v in columns.items()})
        data["validation"] = {"method": "path", "path": str(other)}
    else:
        path = write_parquet(tmp_path / "a.parquet", {**columns, "held": held}, row_group_size=90)
        data["validation"] = {"method": "hash", "fraction": 0.25}
        if method == "column":
            data["validation"] = {"method": "column", "column": "held"}
    run = train_here(path, data=data, solver={"name": "sgd"})
    rows = run.result["rows"]
    assert rows["train"] + rows["validation"] == 400
    if method == "hash":
        assert 60 <= rows["validation"] <= 140
        return
    assert rows["validation"] == 80
    for split, mask in (("train", ~held), ("validation", held)):
        chosen = {name: columns[name][mask] for name in ("x0", "x1")}
        errors = columns["y"][mask] - run.model.predict(chosen)
        assert run.metrics[split]["mse"] == pytest.approx(np.mean(errors**2), rel=1e-4)
        assert run.metrics[split]["mae"] == pytest.approx(np.mean(np.abs(errors)), rel=1e-4)


def test_without_validation_there_are_no_validation_metrics(tmp_path, train_here):
    path = write_parquet(tmp_path / "a.parquet", linear_columns(100, 2))
    run = train_here(path, solver={"name": "sgd", "epochs": 2})
    assert run.metrics["validation"] is None
    assert [line["validation_mse"] for line in lines_of(run)] == [None, None]


def test_held_out_rows_never_touch_the_model(tmp_path, train_here):
    columns = linear_columns(200, 2)
    held = np.arange(200) % 4 == 0
    models = []
    for name, junk in (("a", 0.0), ("b", 1e6)):
        spoiled = {k: np.where(held, v + junk, v) for k, v in columns.items()}
        path = write_parquet(tmp_path / name / "a.parquet", {**spoiled, "held": held})
        data = {"validation": {"method": "column", "column": "held"}}
        solver = {"name": "sgd", "epochs": 3, "early_stop": None}
        models.append(train_here(path, data=data, solver=solver, name=name).model)
    np.testing.assert_allclose(models[0].coef_, models[1].coef_, rtol=1e-6)
    assert models[0].intercept_ == pytest.approx(models[1].intercept_, rel=1e-6)


def test_training_stops_early_without_progress(tmp_path, train_here):
    path = write_parquet(tmp_path / "a.parquet", linear_columns(300, 2))
    solver = {"name": "sgd", "epochs": 500, "global_batch_size": 300, "shuffle": False}
    early = {"patience": 2, "min_rel_progress": 1e-3}
    run = train_here(path, solver={**solver, "early_stop": early})
    losses = [line["train_mse"] for line in lines_of(run)]
    assert run.result["solver"]["epochs"] == len(losses) < 500
    assert run.result["solver"]["stopped"] == "early_stop: no progress for 2 epochs"
    assert losses[-1] > losses[-3] * (1 - 1e-3)
    assert losses[-3] < losses[-4] * (1 - 1e-3)


def test_without_early_stop_all_epochs_are_run(tmp_path, train_here):
    path = write_parquet(tmp_path / "a.parquet", linear_columns(300, 2))
    run = train_here(path, solver={"name": "sgd", "epochs": 30, "early_stop": None})
    assert run.result["solver"]["epochs"] == 30
    assert [line["epoch"] for line in lines_of(run)] == list(range(30))


def test_the_line_of_an_epoch_says_what_the_contract_promises(tmp_path, train_here):
    columns = linear_columns(300, 2)
    path = write_parquet(tmp_path / "a.parquet", columns)
    run = train_here(path, data={"validation": {"method": "hash"}}, solver={"name": "adam", "epochs": 3})
    for line in lines_of(run):
        assert {"epoch", "rows", "rows_per_s", "seconds", "train_mse", "validation_mse"} <= set(line)
        assert line["rows"] == run.result["rows"]["train"]
        assert line["rows_per_s"] > 0
    assert run.metrics["validation"]["mse"] == pytest.approx(lines_of(run)[-1]["validation_mse"], rel=1e-6)


def test_the_training_loss_of_an_epoch_is_in_the_targets_units(tmp_path, train_here):
    """With a vanishing step the model stays at its start, the mean: the loss is the target's variance."""
    columns = linear_columns(300, 2)
    columns["y"] = 1000.0 * columns["y"]
    path = write_parquet(tmp_path / "a.parquet", columns)
    run = train_here(path, solver={"name": "sgd", "epochs": 1, "learning_rate": 1e-12})
    assert lines_of(run)[0]["train_mse"] == pytest.approx(np.var(columns["y"]), rel=1e-4)


def test_a_step_that_is_too_large_is_a_failed_run_with_advice(tmp_path, train_here):
    path = write_parquet(tmp_path / "a.parquet", linear_columns(300, 2))
    with pytest.raises(RunFailedError, match=r"diverged in epoch \d+, step \d+.*Lower solver\.learning_rate"):
        train_here(
            path,
            solver={"name": "sgd", "learning_rate": 1e9, "epochs": 200, "early_stop": None},
        )
    result = json.loads((tmp_path / "runs" / "job" / "result.json").read_text())
    assert (result["status"], result["error"]["exit_code"]) == ("failed", 1)
