"""L-BFGS that is interrupted anywhere ends as the undisturbed run, also with another number of workers."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from linreg_dist.run.finished_run import Run
from linreg_dist.solvers.lbfgs import objective as objective_module
from linreg_dist.solvers.lbfgs.state import lbfgs_tensors, restore_lbfgs
from linreg_dist.training.checkpoints.checkpoint import CheckpointStore, Progress
from linreg_dist.verbs.train import train
from tests.solvers.problems import Problem, features_of, make_problem

LANES = 3


class PowerCutError(Exception):
    """What no code of ours expects."""


def _spec(problem: Problem, name: str, loss: str, **sections: Any) -> dict[str, Any]:
    return {
        "name": name,
        "data": {"path": str(problem.path), "target": ["y", "y1"], "features": features_of(problem)},
        "model": {"loss": loss, "l2": 0.01},
        "solver": {"name": "lbfgs", "epochs": 8},
        "scaling": {"virtual_shards": LANES},
        "run": {
            "storage_path": str(problem.path.parent / "runs"),
            "checkpoint_every_s": 1e-9,
            "max_failures": 0,
        },
        **sections,
    }


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    return make_problem(tmp_path / "d", num_rows=2700, num_targets=2)


def _cut_at(monkeypatch: pytest.MonkeyPatch, evaluation: int) -> None:
    """Raise in place of the given evaluation of the objective, counted from 0."""
    real, numbers = objective_module.Objective._measure, count()

    def measure(objective: Any) -> Any:
        if next(numbers) == evaluation:
            raise PowerCutError
        return real(objective)

    monkeypatch.setattr(objective_module.Objective, "_measure", measure)


def _epochs(run: Run) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    keys = ("epoch", "train_mse", "validation_mse")
    return [{key: line[key] for key in keys} for line in lines if "epoch" in line]


@pytest.mark.parametrize("loss", ["squared", "huber"])
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.9])
def test_an_interrupted_descent_goes_on_where_it_stood(
    problem: Problem, monkeypatch: pytest.MonkeyPatch, loss: str, share: float
) -> None:
    whole = train(_spec(problem, "whole", loss))
    evaluations = whole.result["solver"]["evaluations"]
    assert evaluations > 5
    with monkeypatch.context() as patch:
        _cut_at(patch, int(share * evaluations))
        with pytest.raises(PowerCutError):
            train(_spec(problem, "cut", loss))
    made = count()
    real = objective_module.Objective._measure
    monkeypatch.setattr(objective_module.Objective, "_measure", lambda self: (next(made), real(self))[1])
    resumed = train(_spec(problem, "cut", loss))
    # What lies before the last finished iteration is not done again: a line search has a few evaluations.
    assert next(made) <= evaluations - int(share * evaluations) + 4
    np.testing.assert_allclose(resumed.model.coef_, whole.model.coef_, rtol=1e-12)
    np.testing.assert_allclose(resumed.model.intercept_, whole.model.intercept_, rtol=1e-12)
    assert _epochs(resumed) == _epochs(whole)
    for key in ("epochs", "stopped", "huber_scale"):
        assert resumed.result["solver"][key] == whole.result["solver"][key]


def test_a_torn_checkpoint_falls_back_to_the_one_before(
    problem: Problem, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(_spec(problem, "whole", "huber"))
    with monkeypatch.context() as patch:
        _cut_at(patch, whole.result["solver"]["evaluations"] // 2)
        with pytest.raises(PowerCutError):
            train(_spec(problem, "cut", "huber"))
    folder = problem.path.parent / "runs" / "cut" / "checkpoints"
    newest, before = sorted(folder.glob("epoch*"), reverse=True)[:2]
    state = newest / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-9])
    taken: list[str] = []
    real = CheckpointStore.latest

    def latest(store: CheckpointStore, fingerprint: str) -> tuple[Progress, dict[str, torch.Tensor]] | None:
        found = real(store, fingerprint)
        taken.append("" if found is None else f"epoch{found[0].epoch:06d}-step{found[0].step:09d}")
        return found

    monkeypatch.setattr(CheckpointStore, "latest", latest)
    resumed = train(_spec(problem, "cut", "huber"))
    assert taken == [before.name]
    np.testing.assert_allclose(resumed.model.coef_, whole.model.coef_, rtol=1e-12)


@pytest.mark.usefixtures("light_workers")
def test_another_number_of_workers_goes_on(problem: Problem, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train(_spec(problem, "whole", "huber"))
    with monkeypatch.context() as patch:
        _cut_at(patch, whole.result["solver"]["evaluations"] // 2)
        with pytest.raises(PowerCutError):
            train(_spec(problem, "cut", "huber"))
    scaling = {"virtual_shards": LANES, "num_workers": 2}
    resumed = train(_spec(problem, "cut", "huber", scaling=scaling))
    assert resumed.result["num_workers"] == 2
    evaluations = resumed.result["solver"]["evaluations"]
    assert abs(evaluations - whole.result["solver"]["evaluations"]) <= 4
    np.testing.assert_allclose(resumed.model.coef_, whole.model.coef_, rtol=1e-9)
    assert _epochs(resumed)[0] == pytest.approx(_epochs(whole)[0], rel=1e-12)


@pytest.mark.parametrize("steps", [0, 1, 2, 9])
def test_a_restored_optimiser_makes_the_same_steps(steps: int) -> None:
    """Rosenbrock's function in 30 dimensions, whose history overflows after five iterations."""

    def start() -> tuple[torch.Tensor, torch.optim.Optimizer]:
        x = torch.linspace(-1.0, 1.5, 30, dtype=torch.float64, requires_grad=True)
        options = {"max_iter": 1, "max_eval": 25, "history_size": 5, "line_search_fn": "strong_wolfe"}
        return x, torch.optim.LBFGS([x], **options)

    def step(x: torch.Tensor, optimizer: torch.optim.Optimizer) -> None:
        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            value = (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()
            value.backward()
            return value

        optimizer.step(closure)

    x, optimizer = start()
    for _ in range(steps):
        step(x, optimizer)
    kept, tensors = x.detach().clone(), lbfgs_tensors(optimizer)
    for _ in range(5):
        step(x, optimizer)
    again, restored = start()
    with torch.no_grad():
        again.copy_(kept)
    restore_lbfgs(restored, tensors)
    for _ in range(5):
        step(again, restored)
    assert torch.equal(again, x)
    assert not torch.equal(x, kept)
