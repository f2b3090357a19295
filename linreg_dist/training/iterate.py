"""The epoch loop: SGD, Adam, AdamW and RMSprop with DistributedDataParallel.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from linreg_dist import liveness
from linreg_dist.data.plan import num_steps, plan_epoch
from linreg_dist.data.store import arithmetic_threads
from linreg_dist.data.summary import BlockSummary
from linreg_dist.documents import EpochLine
from linreg_dist.errors import RunFailedError
from linreg_dist.training.automatic import choose_batch_size, choose_learning_rate
from linreg_dist.training.batches import epoch_batches
from linreg_dist.training.checkpoint import CheckpointStore, Progress
from linreg_dist.training.evaluate import Evaluator
from linreg_dist.training.fit import Fit
from linreg_dist.training.huber_scale import huber_scale
from linreg_dist.training.job import TrainJob
from linreg_dist.training.local_sgd import average_weights, gather_parts, own_part
from linreg_dist.training.optim import PenalisedOptimizer
from linreg_dist.training.prepare import OpenData
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.scaling import AffineScale
from linreg_dist.training.sweep import SweepPool, SweptLinear
from linreg_dist.training.worker import Worker

Vector = npt.NDArray[np.float64]

# One pass gives it where the scale of the epoch before is near.
_HUBER_RTOL = 1e-3


@dataclass
class _State:
    """The part of a fit that a checkpoint remembers."""

    epoch: int = 0
    step: int = 0
    epoch_sums: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    history: list[EpochLine] = field(default_factory=list)
    best: float | None = None
    stale: int = 0
    mean_weights: torch.Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    huber_scale: Vector | None = None


def fit_iteratively(
    worker: Worker,
    job: TrainJob,
    data: OpenData,
    summary: BlockSummary,
    scale: AffineScale,
    evaluator: Evaluator,
    log: MetricsLog,
) -> Fit:
    """Train by steps on mini-batches; every worker returns the same fit.

    Raises:
        RunFailedError: the loss became infinite or NaN.

    """
    with arithmetic_threads(worker.num_threads, "sweep") as executor:
        pool = SweepPool(executor, worker.num_threads)
        iteration = _Iteration(worker, job, data, summary, scale, evaluator, log, pool)
        with closing(iteration.checkpoints):
            return iteration.run()


class _Iteration:
    def __init__(
        self,
        worker: Worker,
        job: TrainJob,
        data: OpenData,
        summary: BlockSummary,
        scale: AffineScale,
        evaluator: Evaluator,
        log: MetricsLog,
        pool: SweepPool,
    ) -> None:
        solver, model_spec = job.spec.solver, job.spec.model
        self.worker, self.job, self.data, self.scale = worker, job, data, scale
        self.evaluator, self.log = evaluator, log
        self.train_rows, self.target_std_K = summary.counts.train, summary.y.std
        self.num_targets = len(job.columns.targets)
        self.model = SweptLinear(
            data.encoding.num_encoded,
            self.num_targets,
            scale,
            loss=model_spec.loss,
            huber_epsilon=model_spec.huber_epsilon,
            fit_intercept=model_spec.fit_intercept,
            pool=pool if worker.num_threads > 1 and worker.device.type == "cpu" else None,
        ).to(worker.device)
        self.wrapped = self._wrap()
        self.checkpoints = CheckpointStore(job.run_dir / "checkpoints", job.spec.run.num_to_keep)
        # Together, because a store that does not answer rank 0 must not leave the others waiting for it.
        found = self.worker.together(
            lambda: self.checkpoints.latest(job.fingerprint) if worker.rank == 0 else None
        )[0]
        self.batch, self.measured = choose_batch_size(
            worker, job, data, self.wrapped, self.train_rows, found[0] if found else None
        )
        self.model.zero_grad(set_to_none=False)  # of the steps that were timed
        self.steps = num_steps(self.train_rows, self.batch)
        self.rate = choose_learning_rate(worker, job, data, scale, self.train_rows, self.steps)
        self.optimizer = PenalisedOptimizer(
            self.model,
            solver,
            model_spec,
            torch.from_numpy(model_spec.l1 / scale.y_scale_K),
            name=job.solver,
            learning_rate=self.rate,
            total_steps=self.steps * solver.epochs,
        )
        # A constant step keeps bouncing around the minimum; the mean of an epoch's iterates does not (Jain et
        # al. 2018, tail averaging). With a step that the user chose, the last iterate is what a plain loop
        # would give.
        chosen = (job.solver, solver.learning_rate, solver.schedule, solver.sync_every)
        self.averages = chosen == ("sgd", "auto", "constant", 1)
        self.sync_every = solver.sync_every if worker.world_size > 1 else 1
        self.state = _State(
            epoch_sums=torch.zeros(1 + self.num_targets, dtype=torch.float64),
            mean_weights=torch.zeros_like(self._flat_weights()),
        )
        if found:
            self._resume(*found)
        self.last_save = time.monotonic()

    def run(self) -> Fit:
        """Run the epochs that are left."""
        solver = self.job.spec.solver
        started, rows = time.perf_counter(), 0
        stopped = f"epochs: all {solver.epochs} were run"
        while self.state.epoch < solver.epochs:
            rows += self._run_epoch()
            if self._should_stop():
                patience = solver.early_stop.patience if solver.early_stop else 0
                stopped = f"early_stop: no progress for {patience} epochs"
                break
        elapsed = time.perf_counter() - started
        coef, intercept = self._on_original_scale()
        return Fit(
            coef,
            intercept,
            epochs=len(self.state.history),
            stopped=stopped,
            choices={
                "learning_rate": self.rate,
                "global_batch_size": self.batch,
                "steps_per_epoch": self.steps,
                "averaged_over_last_epoch": self.averages,
                "huber_scale": None if self.state.huber_scale is None else self.state.huber_scale.tolist(),
                **self.measured,
                "standardize": self.job.standardize,
            },
            rows_per_s=rows / elapsed if rows else 0.0,
            train_s=elapsed,
        )

    def _wrap(self) -> nn.Module:
        import ray.train.torch

        if self.worker.world_size == 1:
            return self.model
        wrapped: nn.Module = ray.train.torch.prepare_model(
            self.model,
            parallel_strategy_kwargs={
                "broadcast_buffers": False,
                "gradient_as_bucket_view": True,
                "process_group": self.worker.group,
            },
        )
        return wrapped

    def _run_epoch(self) -> int:
        """Run what is left of the current epoch, validate, write its line; return its training rows."""
        state, solver = self.state, self.job.spec.solver
        plan = plan_epoch(
            self.job.manifest,
            self.job.lanes,
            epoch=state.epoch,
            steps=self.steps,
            shuffle=solver.shuffle,
            seed=solver.seed,
            row_elements=self.data.encoding.num_encoded,
        )
        lanes = self.job.lanes_of(self.worker.rank, self.worker.world_size)
        started = time.perf_counter()
        first_step = state.step
        if first_step == 0 and self.model.epsilon_K is not None:
            self._set_huber_scale(self._measure_huber_scale())
        alone = self.sync_every > 1
        for pieces in epoch_batches(self.data.store, plan, lanes, self.worker.device, first_step):
            number = state.epoch * self.steps + state.step
            state.epoch_sums += self._step(pieces, number, alone=alone)
            state.step += 1
            liveness.process.mark(f"step {state.step} of epoch {state.epoch}")
            if self.averages:
                state.mean_weights += (self._flat_weights() - state.mean_weights) / state.step
            in_step = state.step % self.sync_every == 0 or state.step == self.steps
            due = in_step and self._checkpoint_is_due()
            if alone and in_step:
                due = self._average(checkpoint_is_due=due)
            if self.log.tick_due():
                self._tick(started, first_step)
            if due:
                self._save()
                self.last_save = time.monotonic()
        self._finish_epoch(started, first_step)
        return int(self.train_rows * (self.steps - first_step) / self.steps)

    def _measure_huber_scale(self) -> Vector:
        where = (self.worker, self.job, self.data, *self._in_blocks(), self.target_std_K)
        return huber_scale(*where, near_K=self.state.huber_scale, rtol=_HUBER_RTOL)

    def _set_huber_scale(self, scale_K: Vector) -> None:
        self.state.huber_scale = scale_K
        self.model.set_huber_scale(torch.from_numpy(scale_K))

    def _step(self, pieces: Iterable[Any], number: int, *, alone: bool) -> torch.Tensor:
        """Take one step and return its (Σw, Σw·e² per target), of this worker or averaged over all."""
        self.model.zero_grad(set_to_none=False)
        if alone and isinstance(self.wrapped, nn.parallel.DistributedDataParallel):
            with self.wrapped.no_sync():
                self.wrapped(pieces).backward()
            weight, squared = self.model.normalise_gradients()
        else:
            loss = self.wrapped(pieces)
            with self.worker.waiting():  # the backward pass adds up what the workers' forward passes found
                loss.backward()
                weight, squared = self.model.normalise_gradients()
        if not alone:  # alone, the others do not know of it yet: the average of the weights will tell them
            self._check_finite(squared)
        if weight > 0.0:
            self.optimizer.step(number)
        return torch.tensor([weight, *(value * weight for value in squared)], dtype=torch.float64)

    def _check_finite(self, values: Iterable[float]) -> None:
        """Raise, on every worker alike, if training has diverged."""
        if all(math.isfinite(value) for value in values):
            return
        chosen = self.job.spec.solver.learning_rate
        advice = (
            f"Lower solver.learning_rate (it was {self.rate:.3g})"
            if chosen != "auto"
            else f"Set solver.learning_rate, well below the {self.rate:.3g} that auto chose"
        )
        raise RunFailedError(
            f"training diverged in epoch {self.state.epoch}, step {self.state.step}: the loss is no longer "
            f"finite. {advice}"
        )

    def _average(self, *, checkpoint_is_due: bool) -> bool:
        """Average the workers' weights by their rows; return whether rank 0 finds a checkpoint due."""
        share = max(self.state.epoch_sums[0].item(), 0.0)
        mean, due = average_weights(self.worker, self.model.linear, share, wish=checkpoint_is_due)
        if mean is not None:
            self._check_finite(mean.tolist())
        return due

    def _finish_epoch(self, started: float, first_step: int) -> None:
        state = self.state
        sums = self.worker.sum(state.epoch_sums)
        scale_K = self.scale.y_scale_K**2
        train_mse = float(np.mean(sums[1:].numpy() * scale_K)) / float(sums[0])
        seconds = time.perf_counter() - started
        validation = self.evaluator.validation(*self._in_blocks())
        rows = self.train_rows * (self.steps - first_step) / self.steps
        line = EpochLine.of(
            state.epoch,
            rows=self.train_rows,
            rows_per_s=rows / seconds,
            seconds=seconds,
            train_mse=train_mse,
            validation=validation,
        )
        state.history.append(line)
        self.log.line(line)
        watched = train_mse if validation is None else validation.mse
        early = self.job.spec.solver.early_stop
        if early is None or state.best is None or watched < state.best * (1.0 - early.min_rel_progress):
            state.best, state.stale = watched, 0
        else:
            state.stale += 1
        state.epoch, state.step = state.epoch + 1, 0
        state.epoch_sums = torch.zeros_like(state.epoch_sums)

    def _should_stop(self) -> bool:
        early = self.job.spec.solver.early_stop
        return early is not None and self.state.stale >= early.patience

    def _flat_weights(self) -> torch.Tensor:
        return nn.utils.parameters_to_vector(self.model.linear.parameters()).detach().clone()

    def _weight_and_bias(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the result so far: the last iterate, or the mean of the epoch's."""
        linear = self.model.linear
        if not self.averages:
            return linear.weight.detach(), linear.bias.detach()
        size = linear.weight.numel()
        return self.state.mean_weights[:size].view_as(linear.weight), self.state.mean_weights[size:]

    def _in_blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.scale.to_blocks(*self._weight_and_bias())

    def _on_original_scale(self) -> tuple[Any, Any]:
        weight, bias = self._weight_and_bias()
        return self.scale.to_original(weight.cpu(), bias.cpu(), self.data.shift)

    def _tick(self, started: float, first_step: int) -> None:
        state, epochs = self.state, self.job.spec.solver.epochs
        elapsed = time.perf_counter() - started
        done = state.step - first_step
        left = (epochs - state.epoch) * self.steps - state.step
        weight = float(state.epoch_sums[0])
        loss = (
            float(np.mean(state.epoch_sums[1:].numpy() * self.scale.y_scale_K**2)) / weight
            if weight
            else None
        )
        self.log.tick(
            "train",
            (state.epoch * self.steps + state.step) / (epochs * self.steps),
            epoch=state.epoch,
            rows=int(self.train_rows * state.step / self.steps),
            rows_per_s=self.train_rows * done / self.steps / elapsed,
            loss=loss,
            eta_s=elapsed / max(done, 1) * left,
        )

    def _checkpoint_is_due(self) -> bool:
        due = time.monotonic() - self.last_save >= self.job.spec.run.checkpoint_every_s
        return due and not self.checkpoints.is_busy

    def _save(self) -> None:
        """Write a checkpoint, if this is rank 0. In local SGD every worker calls it, and brings its part."""
        state = self.state
        own = self.optimizer.tensors()
        if self.sync_every > 1:
            own = gather_parts(self.worker, state.epoch_sums, own)
        if self.worker.rank != 0:
            return
        progress = Progress(
            epoch=state.epoch,
            step=state.step,
            global_batch_size=self.batch,
            fingerprint=self.job.fingerprint,
            epoch_sums=state.epoch_sums.tolist(),
            world_size=self.worker.world_size,
            history=state.history,
            best=state.best,
            stale=state.stale,
        )
        tensors = {**self.model.linear.state_dict(), "mean_weights": state.mean_weights}
        if state.huber_scale is not None:
            tensors["huber_scale"] = torch.from_numpy(state.huber_scale)
        with liveness.process.doing("writing a checkpoint"):
            self.checkpoints.save(progress, {**tensors, **own})

    def _resume(self, progress: Progress, tensors: dict[str, torch.Tensor]) -> None:
        """Continue where a checkpoint of this very job stands."""
        self.model.linear.load_state_dict({name: tensors[name] for name in ("weight", "bias")})
        own = own_part(tensors, self.worker)
        if own is None:
            sums = torch.tensor(progress.epoch_sums, dtype=torch.float64)
            if progress.world_size != self.worker.world_size:  # a mean over another number of workers
                sums *= progress.world_size / self.worker.world_size
            own = sums, tensors
        self.optimizer.restore(own[1])
        self.state = _State(
            epoch=progress.epoch,
            step=progress.step,
            epoch_sums=own[0],
            history=list(progress.history),
            best=progress.best,
            stale=progress.stale,
            mean_weights=tensors["mean_weights"].to(self.worker.device),
        )
        if "huber_scale" in tensors:
            self._set_huber_scale(tensors["huber_scale"].numpy())
        for line in progress.history:
            self.log.line(line)
