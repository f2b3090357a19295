"""`run_epochs`: the one loop of every iterative solver.

It owns where a fit is, its limits, its checkpoints, its lines of progress and its failures. A `Method` brings
what is its own, in the manner of optimistix: init, step, terminate, postprocess.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

import torch

from linreg_dist import liveness
from linreg_dist.documents import EpochLine
from linreg_dist.errors import RunFailedError
from linreg_dist.training.checkpoints.checkpoint import CheckpointStore, Progress
from linreg_dist.training.evaluate import Evaluator, Measured, Predictor
from linreg_dist.training.fit import Fit
from linreg_dist.training.rows.huber import HuberObjective
from linreg_dist.training.training import Training

Checkpoint = tuple[Progress, dict[str, torch.Tensor]]


@dataclass
class Position:
    """Where a fit is: finished epochs with their lines, and finished steps of the one in progress."""

    epoch: int = 0
    step: int = 0
    history: list[EpochLine] = field(default_factory=list)


@dataclass(frozen=True)
class EpochEnd:
    """The work of an epoch in this attempt.

    Attributes:
        train_mse: mean squared error of the training rows as the epoch met them.
        rows: training rows that were visited, over all workers; not whole where an epoch was continued.
        loss: the objective at its end, as it is minimised; None where the method does not know it.

    """

    train_mse: float
    rows: float
    loss: float | None = None


@dataclass(frozen=True)
class Snapshot:
    """What a method needs to go on from here, beside the `Position`; see `Progress` for the fields."""

    tensors: Mapping[str, torch.Tensor]
    global_batch_size: int
    epoch_sums: list[float] = field(default_factory=list)
    best: float | None = None
    stale: int = 0


class Diverged(Exception):  # noqa: N818  # an event, which the loop turns into an error
    """The loss is no longer finite; the message says what to do about it. Raised on every worker alike."""


class Method(ABC):
    """What is a solver's own of an iterative fit. All of it is called on every worker, in the same order."""

    @abstractmethod
    def init(self, found: Checkpoint | None) -> None:
        """Begin where a checkpoint of this job is, or with None from the start."""

    def begin_epoch(self, at: Position) -> str | None:
        """Get ready for the epoch in progress, or return why no further one would change the model."""
        return None

    @abstractmethod
    def is_over(self, at: Position) -> bool:
        """Return whether the epoch in progress has no step left."""

    @abstractmethod
    def step(self, at: Position) -> None:
        """Take the next step; `Position.step` counts it afterwards.

        Raises:
            Diverged: the loss is no longer finite.

        """

    def steps(self, at: Position) -> int:
        """Take the next step, or as many as a tenth of a second allows, and return how many.

        Raises:
            Diverged: as `step`; `Position.step` then counts those that were taken before.

        """
        self.step(at)
        return 1

    def agree(self, at: Position, *, due: bool) -> bool:
        """Return whether to write a checkpoint now, where this worker's clock says that one is due.

        Raises:
            Diverged: as `step`.

        """
        return due

    def tick(self, at: Position, first_step: int, seconds: float) -> None:
        """Write a line of progress within an epoch that began at ``first_step``, so many seconds ago."""
        return

    @abstractmethod
    def end_epoch(self, at: Position, first_step: int) -> EpochEnd:
        """Return what the epoch, which began at ``first_step`` in this attempt, has done."""

    @abstractmethod
    def in_blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the model so far: coefficients (D, K) and intercepts (K) for rows as blocks hold them."""

    def huber(self) -> HuberObjective | None:
        """Return the objective of the model so far, where it is not the mean squared error: Huber's."""
        return None

    def predictor(self) -> Predictor | None:
        """Return what predicts the rows of a block, where the model is not linear in them."""
        return None

    def terminate(self, line: EpochLine) -> str | None:
        """Return why the epoch of this line is the last one; None to go on."""
        return None

    @abstractmethod
    def snapshot(self) -> Snapshot:
        """Return what a checkpoint remembers; rank 0 writes it."""

    @abstractmethod
    def postprocess(self, at: Position, stopped: str) -> Fit:
        """Return the fit, in the units of the files."""


def run_epochs(training: Training, method: Method) -> Fit:
    """Run a method from its newest checkpoint, or its start, to its end; every worker returns the same fit.

    Raises:
        RunFailedError: the loss is no longer finite.

    """
    job = training.job
    with closing(CheckpointStore(job.run_dir / "checkpoints", job.spec.run.num_to_keep)) as checkpoints:
        return _Epochs(training, method, checkpoints).run()


class _Epochs:
    def __init__(self, training: Training, method: Method, checkpoints: CheckpointStore) -> None:
        self._training, self._method, self._checkpoints = training, method, checkpoints
        self._evaluator = Evaluator.of(training)
        self._limit = training.job.spec.solver.epochs
        worker, job = training.worker, training.job
        # Together, because a store that does not answer rank 0 must not leave the others waiting for it.
        found = worker.together(lambda: checkpoints.latest(job.fingerprint) if worker.rank == 0 else None)[0]
        method.init(found)
        self._at = Position()
        if found is not None:
            progress = found[0]
            self._at = Position(progress.epoch, progress.step, list(progress.history))
        for line in self._at.history:
            training.log.line(line)
        self._saved_at = time.monotonic()

    def run(self) -> Fit:
        """Run the epochs that are left."""
        at, method = self._at, self._method
        self._training.log.enter("train", epoch=at.epoch, epochs=self._limit, done=at.epoch / self._limit)
        started, rows = time.perf_counter(), 0.0
        stopped = None
        while stopped is None:
            if at.epoch >= self._limit:
                stopped = f"epochs: all {self._limit} were run"
            elif (stopped := method.begin_epoch(at)) is None:
                rows += self._run_epoch()
                stopped = method.terminate(at.history[-1])
                if stopped is None and at.epoch < self._limit:
                    self._save_if(method.agree(at, due=self._is_due()))
        elapsed = time.perf_counter() - started
        rows_per_s = rows / elapsed if rows else 0.0
        return replace(method.postprocess(at, stopped), rows_per_s=rows_per_s, train_s=elapsed)

    def _run_epoch(self) -> float:
        """Run what is left of the epoch in progress, validate, write its line; return its training rows."""
        at, method, training = self._at, self._method, self._training
        started, first_step = time.perf_counter(), at.step
        while not method.is_over(at):
            with _reported(at):
                at.step += method.steps(at)
                liveness.process.mark(f"step {at.step} of epoch {at.epoch}")
                due = method.agree(at, due=self._is_due())
            if training.log.tick_due():
                method.tick(at, first_step, time.perf_counter() - started)
            self._save_if(due)
        end = method.end_epoch(at, first_step)
        seconds = time.perf_counter() - started
        found = self._measure()
        line = EpochLine.of(
            at.epoch,
            rows=training.summary.counts.train,
            rows_per_s=end.rows / seconds,
            seconds=seconds,
            train_mse=end.train_mse,
            validation=found.validation,
            loss=found.loss if end.loss is None else end.loss,
            validation_loss=found.validation_loss,
        )
        at.history.append(line)
        training.log.line(line)
        at.epoch, at.step = at.epoch + 1, 0
        return end.rows

    def _measure(self) -> Measured:
        predict, huber = self._method.predictor(), self._method.huber()
        if predict is not None:
            return Measured(self._evaluator.validation_of(predict))
        coef_DK, intercept_K = (each.cpu().numpy() for each in self._method.in_blocks())
        if huber is not None:
            return self._evaluator.with_objective(coef_DK, intercept_K, huber)
        return Measured(self._evaluator.validation(coef_DK, intercept_K))

    def _is_due(self) -> bool:
        due = time.monotonic() - self._saved_at >= self._training.job.spec.run.checkpoint_every_s
        return due and not self._checkpoints.is_busy

    def _save_if(self, due: bool) -> None:
        """Write a checkpoint, if one is due and this is rank 0; every worker brings its part."""
        if not due:
            return
        at, worker, snapshot = self._at, self._training.worker, self._method.snapshot()
        if worker.rank == 0:
            progress = Progress(
                epoch=at.epoch,
                step=at.step,
                global_batch_size=snapshot.global_batch_size,
                fingerprint=self._training.job.fingerprint,
                epoch_sums=snapshot.epoch_sums,
                world_size=worker.world_size,
                history=at.history,
                best=snapshot.best,
                stale=snapshot.stale,
            )
            with liveness.process.doing("writing a checkpoint"):
                self._checkpoints.save(progress, dict(snapshot.tensors))
        self._saved_at = time.monotonic()


@contextmanager
def _reported(at: Position) -> Iterator[None]:
    try:
        yield
    except Diverged as error:
        raise RunFailedError(
            f"training diverged in epoch {at.epoch}, step {at.step}: the loss is no longer finite. {error}"
        ) from None
