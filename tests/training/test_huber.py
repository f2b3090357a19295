"""Huber's own objective in the lines of epochs, against the same written out over the rows of the files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linreg_dist.data.block import Block
from linreg_dist.data.rows import hash_split
from linreg_dist.training.rows.huber import HuberObjective
from linreg_dist.verbs.train import Run
from tests.parquet import write_parquet

Train = Callable[..., Run]
ROWS = 2400
HASH = {"method": "hash", "fraction": 0.3, "seed": 3}


@pytest.fixture
def columns(tmp_path: Path) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    a, b = rng.normal(5, 2, ROWS), rng.exponential(3, ROWS)
    found = {
        "a": a,
        "b": b,
        "w": rng.uniform(0.5, 2.0, ROWS),
        "y": 40 + 20 * a - 9 * b + 8 * rng.standard_t(2, ROWS),
        "second": a + rng.standard_t(3, ROWS),
    }
    write_parquet(tmp_path / "d" / "p.parquet", found, row_group_size=500)
    return found


def epochs_of(run: Run) -> list[dict[str, Any]]:
    lines = map(json.loads, (run.path / "metrics.jsonl").read_text().splitlines())
    return [line for line in lines if "epoch" in line]


@pytest.mark.parametrize(
    ("name", "model", "targets"),
    [
        ("adam", {}, ["y"]),
        ("sgd", {"l1": 2.0, "l2": 0.05}, ["y"]),
        ("sgd", {}, ["y", "second"]),
        ("lbfgs", {"l2": 0.05}, ["y"]),
    ],
)
def test_the_last_line_has_the_objective_of_the_model_that_came_out(
    columns: dict[str, Any], tmp_path: Path, train_here: Train, name: str, model: Any, targets: list[str]
) -> None:
    run = train_here(
        tmp_path / "d",
        data={"target": targets, "features": ["a", "b"], "weight": "w", "validation": HASH},
        model={"loss": "huber", **model},
        solver={"name": name, "epochs": 6},
        outputs={"report": False},
    )
    last = epochs_of(run)[-1]
    held_out = hash_split("p.parquet", 0, ROWS, 0.3, 3)
    w, x = columns["w"], np.stack([columns["a"], columns["b"]], axis=1)
    expected = {"loss": 0.0, "validation_loss": 0.0}
    train = ~held_out
    mean_x = np.average(x[train], axis=0, weights=w[train])
    spread_x = np.sqrt(np.average((x[train] - mean_x) ** 2, axis=0, weights=w[train]))
    coefs = np.atleast_2d(run.model.coef_)
    predictions = np.reshape(run.model.predict(x), (ROWS, -1))
    assert run.document.solver is not None
    for k, (target, scale) in enumerate(zip(targets, run.document.solver.huber_scale or [], strict=True)):
        y = columns[target]
        spread = np.sqrt(
            np.average((y[train] - np.average(y[train], weights=w[train])) ** 2, weights=w[train])
        )
        size = np.abs(y - predictions[:, k])
        epsilon = 1.35 * scale
        losses = np.where(size <= epsilon, size**2 / 2, epsilon * (size - epsilon / 2))
        slopes = coefs[k] * spread_x
        penalty = model.get("l1", 0.0) * np.abs(slopes).sum() + model.get("l2", 0.0) / 2 * (slopes**2).sum()
        for split, rows in (("loss", train), ("validation_loss", held_out)):
            expected[split] += (np.average(losses[rows], weights=w[rows]) + penalty) / spread**2
    for split, value in expected.items():
        assert last[split] == pytest.approx(value, rel=1e-5)


def test_without_rows_held_out_there_is_the_objective_of_the_training_rows_alone(
    columns: dict[str, Any], tmp_path: Path, train_here: Train
) -> None:
    run = train_here(
        tmp_path / "d",
        data={"features": ["a", "b"]},
        model={"loss": "huber"},
        solver={"name": "adam", "epochs": 3},
    )
    assert all(line["loss"] > 0 and "validation_loss" not in line for line in epochs_of(run))
    assert "What is minimised: Huber" in (run.path / "report.html").read_text()


def test_the_objective_of_squared_loss_is_told_by_its_errors(
    columns: dict[str, Any], tmp_path: Path, train_here: Train
) -> None:
    run = train_here(
        tmp_path / "d",
        data={"features": ["a", "b"], "validation": HASH},
        solver={"name": "adam", "epochs": 2},
        outputs={"report": False},
    )
    assert all("loss" not in line and "validation_loss" not in line for line in epochs_of(run))


@pytest.mark.parametrize("weighted", [False, True])
def test_sums_over_rows_are_those_of_torchs_huber_loss(weighted: bool) -> None:
    rng = np.random.default_rng(1)
    x, y, w = rng.normal(size=(3000, 70)), rng.normal(size=(3000, 2)) * 9, rng.uniform(1, 2, 3000)
    coef, intercept, epsilon = rng.normal(size=(70, 2)), rng.normal(size=2), np.array([0.5, 20.0])
    block = Block(np.asfortranarray(x), np.asfortranarray(y), w if weighted else None, 3000)
    objective = HuberObjective(epsilon, np.array([2.0, 4.0]), 0.25)
    found = objective.sums(block, coef, intercept)
    weights = torch.from_numpy(w) if weighted else torch.ones(3000, dtype=torch.float64)
    assert found[0] == pytest.approx(float(weights.sum()))
    total = 0.0
    for k in range(2):
        predicted = torch.from_numpy(x @ coef[:, k] + intercept[k])
        losses = torch.nn.functional.huber_loss(
            predicted, torch.from_numpy(y[:, k]), reduction="none", delta=epsilon[k]
        )
        expected = float((losses * weights).sum())
        assert found[1 + k] == pytest.approx(expected)
        total += expected / objective.unit_K[k] ** 2
    assert objective.value(found) == pytest.approx(total / found[0] + 0.25)
    assert objective.value(np.zeros(3)) is None
