"""The loop of iterative solvers, driven by a method that counts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from linreg_dist.documents import EpochLine
from linreg_dist.errors import RunFailedError
from linreg_dist.solvers.epochs import (
    Checkpoint,
    Diverged,
    EpochEnd,
    Method,
    Position,
    Snapshot,
    run_epochs,
)
from linreg_dist.training.fit import Fit
from linreg_dist.training.metrics_log import MetricsLog
from linreg_dist.training.worker import Worker

STEPS = 3


class Counting(Method):
    """Three steps an epoch, each of which adds one to its only weight."""

    def __init__(self, *, ends_before: int = 99, ends_after: int = 99, diverges_at: float = 99.0) -> None:
        self.weight = torch.zeros(1, dtype=torch.float64)
        self.ends_before, self.ends_after, self.diverges_at = ends_before, ends_after, diverges_at
        self.found: Checkpoint | None = None
        self.taken: list[tuple[int, int]] = []

    def init(self, found: Checkpoint | None) -> None:
        self.found = found
        if found is not None:
            self.weight = found[1]["weight"].clone()

    def begin_epoch(self, at: Position) -> str | None:
        return "nothing to gain" if at.epoch == self.ends_before else None

    def is_over(self, at: Position) -> bool:
        return at.step == STEPS

    def step(self, at: Position) -> None:
        if float(self.weight) == self.diverges_at:
            raise Diverged("Take smaller steps")
        self.taken.append((at.epoch, at.step))
        self.weight += 1.0

    def end_epoch(self, at: Position, first_step: int) -> EpochEnd:
        return EpochEnd(train_mse=1.0 / float(self.weight), rows=10.0 * (STEPS - first_step))

    def in_blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.weight[None], torch.zeros(1, dtype=torch.float64)

    def terminate(self, line: EpochLine) -> str | None:
        return "enough" if line.epoch == self.ends_after else None

    def snapshot(self) -> Snapshot:
        return Snapshot({"weight": self.weight}, global_batch_size=7, best=0.5, stale=1)

    def postprocess(self, at: Position, stopped: str) -> Fit:
        return Fit(self.weight[None].numpy(), np.zeros(1), at.epoch, stopped)


@pytest.fixture
def training(tmp_path: Path) -> Iterator[Any]:
    """What the loop asks of a `Training` on one worker, of which no row validates."""
    solver = SimpleNamespace(epochs=5)
    run = SimpleNamespace(num_to_keep=100, checkpoint_every_s=1e-9)
    log = MetricsLog(tmp_path / "metrics.jsonl")
    y = SimpleNamespace(mean=np.zeros(1))
    yield SimpleNamespace(
        worker=Worker(rank=0, world_size=1, device="cpu", num_threads=1),
        job=SimpleNamespace(
            run_dir=tmp_path, fingerprint="mine", spec=SimpleNamespace(solver=solver, run=run)
        ),
        data=SimpleNamespace(store=None),
        log=log,
        summary=SimpleNamespace(counts=SimpleNamespace(train=30, validation=0), y=y),
        my_row_groups=[],
    )
    log.close()


def epochs_in(folder: Path) -> list[int]:
    lines = (json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines())
    return [line["epoch"] for line in lines if "epoch" in line]


def test_all_epochs_are_run_step_by_step(training: Any, tmp_path: Path) -> None:
    method = Counting()
    fit = run_epochs(training, method)
    assert method.found is None
    assert method.taken == [(epoch, step) for epoch in range(5) for step in range(STEPS)]
    assert (fit.epochs, fit.stopped) == (5, "epochs: all 5 were run")
    assert fit.rows_per_s > 0
    assert epochs_in(tmp_path) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("options", "epochs", "stopped"),
    [({"ends_before": 2}, 2, "nothing to gain"), ({"ends_after": 2}, 3, "enough")],
)
def test_a_method_says_when_it_is_done(
    training: Any, options: dict[str, int], epochs: int, stopped: str
) -> None:
    fit = run_epochs(training, Counting(**options))
    assert (fit.epochs, fit.stopped) == (epochs, stopped)


@pytest.mark.parametrize("cut_at", [1, 3, 4, 10, 14])
def test_a_fit_that_is_cut_anywhere_goes_on_after_its_last_step(
    training: Any, tmp_path: Path, cut_at: int
) -> None:
    cut = Counting(diverges_at=float(cut_at))
    with pytest.raises(RunFailedError):
        run_epochs(training, cut)
    resumed = Counting()
    fit = run_epochs(training, resumed)
    assert [*cut.taken, *resumed.taken] == [(epoch, step) for epoch in range(5) for step in range(STEPS)]
    assert fit.coef_KD.item() == 5 * STEPS
    assert resumed.found is not None
    progress = resumed.found[0]
    assert (progress.global_batch_size, progress.best, progress.stale) == (7, 0.5, 1)
    done = cut_at // STEPS
    assert epochs_in(tmp_path) == [*range(done), *range(done), *range(done, 5)], "finished epochs come again"


def test_a_finished_fit_takes_no_further_step(training: Any) -> None:
    run_epochs(training, Counting())
    again = Counting()
    fit = run_epochs(training, again)
    assert len(again.taken) <= 1
    assert fit.stopped == "epochs: all 5 were run"


def test_divergence_is_reported_at_its_step_with_the_methods_advice(training: Any) -> None:
    with pytest.raises(
        RunFailedError,
        match=r"diverged in epoch 2, step 1: the loss is no longer finite\. Take smaller steps",
    ):
        run_epochs(training, Counting(diverges_at=7.0))


def test_a_checkpoint_is_written_when_the_interval_is_over_and_the_method_agrees(
    training: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    training.job.spec.run.checkpoint_every_s = 4.0

    class Agreeing(Counting):
        """Lets a second pass with each step, and wants no checkpoint after the first step of an epoch."""

        def step(self, at: Position) -> None:
            super().step(at)
            now[0] += 1.0

        def agree(self, at: Position, *, due: bool) -> bool:
            return due and at.step != 1

    run_epochs(training, Agreeing())
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    # Due after the 4th, 9th and 14th second; the 4th is the first step of an epoch, so it is the 5th.
    assert names == [
        "epoch000001-step000000002",
        "epoch000002-step000000003",
        "epoch000004-step000000002",
    ]
