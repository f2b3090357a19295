"""Steps on mini-batches: SGD, Adam, AdamW and RMSprop with DistributedDataParallel.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from linreg_dist import liveness
from linreg_dist.data.plan import num_steps
from linreg_dist.data.store import arithmetic_threads
from linreg_dist.documents import EpochLine
from linreg_dist.solvers.device_choice import settle_device
from linreg_dist.solvers.epochs import Checkpoint, Diverged, EpochEnd, Method, Position, Snapshot, run_epochs
from linreg_dist.solvers.gradient.automatic import choose_batch_size, choose_learning_rate
from linreg_dist.solvers.gradient.batches import epoch_batches
from linreg_dist.solvers.gradient.local_sgd import average_weights, gather_parts, own_part
from linreg_dist.solvers.gradient.many_steps import ManySteps, many_steps
from linreg_dist.solvers.gradient.optim import PenalisedOptimizer
from linreg_dist.solvers.gradient.solver import GradientSolver
from linreg_dist.solvers.huber_scale import huber_scale
from linreg_dist.training.checkpoints.checkpoint import Progress
from linreg_dist.training.fit import Fit
from linreg_dist.training.rows.huber import HuberObjective
from linreg_dist.training.rows.scaling import AffineScale
from linreg_dist.training.rows.sweep import Rows, SweepPool, SweptLinear
from linreg_dist.training.training import Training

Vector = npt.NDArray[np.float64]

# One pass gives it where the scale of the epoch before is near.
_HUBER_RTOL = 1e-3

# Rows of a step where `auto` is to choose them later.
_TYPICAL_BATCH = 65_536

# Steps before the clock starts, and how many it is on for: one by one, and natively, where one takes
# microseconds and a call takes several.
_TIMED_STEPS, _MOST_TIMED = ((2, 3), (8, 64)), 16


def fit_by_steps(training: Training, solver: GradientSolver) -> Fit:
    """Train by steps on mini-batches; every worker returns the same fit.

    Raises:
        RunFailedError: the loss became infinite or NaN.

    """
    job, num_threads = training.job, training.worker.num_threads
    scale = AffineScale.from_summary(
        training.summary,
        training.data.shift,
        standardize=job.standardize,
        scale_target=job.spec.solver.learning_rate == "auto",
        fit_intercept=job.spec.model.fit_intercept,
    )
    with arithmetic_threads(num_threads, "sweep") as executor:
        pool = SweepPool(executor, num_threads)
        training, device = settle_device(
            training, lambda there: MiniBatches(there, solver, scale, pool).remaining_s()
        )
        fit = run_epochs(training, MiniBatches(training, solver, scale, pool))
    return replace(fit, choices={**fit.choices, **device})


class MiniBatches(Method):
    """Steps of one update rule on mini-batches of all workers' rows.

    Args:
        training: this worker's part in the job.
        solver: whose rule it is.
        scale: the unit scale to work on.
        pool: threads that share a step.

    """

    def __init__(
        self, training: Training, solver: GradientSolver, scale: AffineScale, pool: SweepPool
    ) -> None:
        worker, model_spec = training.worker, training.job.spec.model
        self._training, self._worker, self._solver, self._scale = training, worker, solver, scale
        self._spec = training.job.spec.solver
        self._train_rows = training.summary.counts.train
        self._model = SweptLinear(
            training.num_features,
            training.num_targets,
            scale,
            loss=model_spec.loss,
            huber_epsilon=model_spec.huber_epsilon,
            fit_intercept=model_spec.fit_intercept,
            pool=pool if worker.num_threads > 1 and worker.gpus is None else None,
        ).to(worker.device)
        self._pool = pool
        self._wrapped = self._wrap()
        self._averages = solver.averages(self._spec)
        self._sync_every = self._spec.sync_every if worker.world_size > 1 else 1
        self._lanes = training.job.lanes_of(worker.rank, worker.world_size)
        self._batches: Iterator[list[Rows]] = iter(())
        self._many: ManySteps | None = None
        self._takes_many = False
        self._epoch_sums = torch.zeros(1 + training.num_targets, dtype=torch.float64)
        self._mean_weights = self._zero_weights()
        self._huber_scale: Vector | None = None
        self._best: float | None = None
        self._stale = 0

    def init(self, found: Checkpoint | None) -> None:
        """Choose the batch and the step size, and begin."""
        earlier = found[0] if found else None
        batch, self._measured = choose_batch_size(self._spec, self._train_rows, self._step_s, earlier)
        steps = num_steps(self._train_rows, batch)
        rate = choose_learning_rate(self._training, self._solver, self._scale, self._train_rows, steps)
        self._get_ready(batch, rate)
        if found:
            self._resume(*found)

    def _get_ready(self, batch: int, rate: float) -> None:
        training, job = self._training, self._training.job
        self._batch, self._rate, self._steps = batch, rate, num_steps(self._train_rows, batch)
        self._optimizer = PenalisedOptimizer(
            self._model,
            self._spec,
            job.spec.model,
            torch.from_numpy(job.spec.model.l1 / self._scale.y_scale_K),
            rule=self._solver.rule(self._spec),
            is_proximal=self._solver.is_proximal(self._spec),
            learning_rate=rate,
            total_steps=self._steps * self._spec.epochs,
        )
        self._many = many_steps(training, self._model, self._optimizer, self._solver, self._pool)

    def _step_s(self, batch: int) -> float:
        """Return the seconds of a step of ``batch`` rows, the slowest worker's.

        The steps are those of training, all-reduce and update included, on the rows with which it begins. Of
        length zero, they leave the weights, which are zero, where they are. Every worker must call it.
        """
        self._get_ready(batch, 0.0)
        at = Position()
        self._plan(at)
        untimed, number = _TIMED_STEPS[0 if self._many is None else 1]
        last = max(1, min(self._steps, untimed + max(number, min(self._sync_every, _MOST_TIMED))))
        liveness.process.mark(f"timing steps of {batch} rows")
        started, first = time.perf_counter(), 0
        while at.step < last:
            at.step += self.steps(at)
            self.agree(at, due=False)
            if first == 0 and at.step >= min(untimed, last - 1):
                started, first = time.perf_counter(), at.step
        seconds = (time.perf_counter() - started) / max(at.step - first, 1)
        self._let_go()
        self._epoch_sums, self._mean_weights = torch.zeros_like(self._epoch_sums), self._zero_weights()
        self._model.zero_grad(set_to_none=False)
        return max(self._worker.gather(seconds))

    def remaining_s(self) -> float:
        """Return the seconds that all steps of all epochs will take, after running a few of them."""
        batch = self._spec.global_batch_size
        rows = _TYPICAL_BATCH if batch == "auto" else int(batch)
        steps = num_steps(self._train_rows, rows)
        return self._step_s(rows) * steps * self._spec.epochs

    def begin_epoch(self, at: Position) -> None:
        """Plan the epoch's batches, and measure Huber's scale before its first step."""
        if at.step == 0 and self._model.epsilon_K is not None:
            self._set_huber_scale(self._measure_huber_scale())
        self._plan(at)

    def _plan(self, at: Position) -> None:
        plan = self._training.epoch_plan(at.epoch, self._steps)
        self._takes_many = self._many is not None and self._many.begin(plan, at.step)
        if self._takes_many:
            return
        data = self._training.data
        self._batches = epoch_batches(data.store, plan, self._lanes, self._training.on_device, at.step)

    def steps(self, at: Position) -> int:
        """Take one step or, alone, as many as a tenth of a second allows."""
        if self._many is None or not self._takes_many:
            return super().steps(at)
        number = at.epoch * self._steps + at.step
        taken, diverged = self._many.run(at.step, number, self._epoch_sums, self._mean_weights)
        if diverged:
            at.step += taken
            self._check_finite([math.nan])
        return taken

    def is_over(self, at: Position) -> bool:
        """Return whether every batch had its step."""
        return at.step >= self._steps

    def step(self, at: Position) -> None:
        """Take one step, on the gradient of all workers or, in local SGD, on this worker's own."""
        pieces, alone = next(self._batches), self._sync_every > 1
        self._model.zero_grad(set_to_none=False)
        if alone and isinstance(self._wrapped, nn.parallel.DistributedDataParallel):
            with self._wrapped.no_sync():
                self._wrapped(pieces).backward()
            weight, squared = self._model.normalise_gradients()
        else:
            loss = self._wrapped(pieces)
            with self._worker.waiting():  # the backward pass adds up what the workers' forward passes found
                loss.backward()
                weight, squared = self._model.normalise_gradients()
        if not alone:  # alone, the others do not know of it yet: the average of the weights will tell them
            self._check_finite(squared)
        if weight > 0.0:
            self._optimizer.step(at.epoch * self._steps + at.step)
        self._epoch_sums += torch.tensor(
            [weight, *(value * weight for value in squared)], dtype=torch.float64
        )
        if self._averages:
            self._mean_weights += (self._flat_weights() - self._mean_weights) / (at.step + 1)

    def agree(self, at: Position, *, due: bool) -> bool:
        """Return whether a checkpoint is due; in local SGD, whose workers meet here, if rank 0 says so."""
        if at.step == 0:  # between epochs: the checkpoint of the last step has it all
            return False
        if at.step % self._sync_every and at.step < self._steps:
            return False
        if self._sync_every == 1:
            return due
        share = max(self._epoch_sums[0].item(), 0.0)
        mean, due = average_weights(self._worker, self._model.linear, share, wish=due)
        if mean is not None:
            self._check_finite(mean.tolist())
        return due

    def tick(self, at: Position, first_step: int, seconds: float) -> None:
        """Write how far the epochs are."""
        steps, epochs, done = self._steps, self._spec.epochs, at.step - first_step
        weight = float(self._epoch_sums[0])
        loss = float(np.mean(self._squared(self._epoch_sums))) / weight if weight else None
        self._training.log.tick(
            "train",
            (at.epoch * steps + at.step) / (epochs * steps),
            epoch=at.epoch,
            epochs=epochs,
            rows=int(self._train_rows * at.step / steps),
            rows_per_s=self._train_rows * done / steps / seconds,
            loss=loss,
        )

    def end_epoch(self, at: Position, first_step: int) -> EpochEnd:
        """Return the loss of all workers' rows over the epoch, and start the next sums."""
        self._let_go()
        sums = torch.from_numpy(self._worker.sum(self._epoch_sums.numpy()))
        self._epoch_sums = torch.zeros_like(self._epoch_sums)
        train_mse = float(np.mean(self._squared(sums))) / float(sums[0])
        return EpochEnd(train_mse, self._train_rows * (self._steps - first_step) / self._steps)

    def terminate(self, line: EpochLine) -> str | None:
        """Return whether the watched loss has not fallen for ``early_stop.patience`` epochs."""
        early = self._spec.early_stop
        watched = line.train_mse if line.validation_mse is None else line.validation_mse
        best = self._best
        if early is None or best is None or _falls(watched, best * (1.0 - early.min_rel_progress)):
            self._best, self._stale = watched, 0
        else:
            self._stale += 1
        if early is not None and self._stale >= early.patience:
            return f"early_stop: no progress for {early.patience} epochs"
        return None

    def in_blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the model so far."""
        return self._scale.to_blocks(*self._weight_and_bias())

    def huber(self) -> HuberObjective | None:
        """Return Huber's objective under the epoch's scale."""
        if self._huber_scale is None:
            return None
        job, std_K = self._training.job, self._training.summary.y.std
        weight_KD = self._weight_and_bias()[0].cpu().numpy() * self._scale.y_scale_K[:, None]
        unit_K = np.where(std_K > 0, std_K, 1.0) if job.standardize else np.ones_like(std_K)
        return HuberObjective.of(job.spec.model, self._huber_scale, unit_K, weight_KD)

    def snapshot(self) -> Snapshot:
        """Return weights, optimizer state and sums; in local SGD with every worker's own."""
        own = self._optimizer.tensors()
        if self._sync_every > 1:
            own = gather_parts(self._worker, self._epoch_sums, own)
        tensors = {**self._model.linear.state_dict(), "mean_weights": self._mean_weights}
        if self._huber_scale is not None:
            tensors["huber_scale"] = torch.from_numpy(self._huber_scale)
        return Snapshot({**tensors, **own}, self._batch, self._epoch_sums.tolist(), self._best, self._stale)

    def postprocess(self, at: Position, stopped: str) -> Fit:
        """Return the fit, and what every ``auto`` stood for."""
        weight, bias = self._weight_and_bias()
        coef, intercept = self._scale.to_original(weight.cpu(), bias.cpu(), self._training.data.shift)
        return Fit(
            coef,
            intercept,
            epochs=at.epoch,
            stopped=stopped,
            choices={
                "learning_rate": self._rate,
                "global_batch_size": self._batch,
                "steps_per_epoch": self._steps,
                "averaged_over_last_epoch": self._averages,
                "huber_scale": None if self._huber_scale is None else self._huber_scale.tolist(),
                **self._measured,
                "standardize": self._training.job.standardize,
            },
        )

    def _let_go(self) -> None:
        """Let go of the last blocks of an epoch."""
        self._batches, self._takes_many = iter(()), False
        if self._many is not None:
            self._many.end()

    def _wrap(self) -> nn.Module:
        if self._worker.world_size == 1:
            return self._model
        import ray.train.torch

        wrapped: nn.Module = ray.train.torch.prepare_model(
            self._model,
            parallel_strategy_kwargs={
                "broadcast_buffers": False,
                "gradient_as_bucket_view": True,
                "process_group": self._worker.group,
            },
        )
        return wrapped

    def _resume(self, progress: Progress, tensors: dict[str, torch.Tensor]) -> None:
        """Continue where a checkpoint of this very job is."""
        self._model.linear.load_state_dict({name: tensors[name] for name in ("weight", "bias")})
        own = own_part(tensors, self._worker)
        if own is None:
            sums = torch.tensor(progress.epoch_sums, dtype=torch.float64)
            if progress.world_size != self._worker.world_size:  # a mean over another number of workers
                sums *= progress.world_size / self._worker.world_size
            own = sums, tensors
        self._epoch_sums = own[0]
        self._optimizer.restore(own[1])
        self._mean_weights = tensors["mean_weights"].to(self._worker.device)
        self._best, self._stale = progress.best, progress.stale
        if "huber_scale" in tensors:
            self._set_huber_scale(tensors["huber_scale"].numpy())

    def _measure_huber_scale(self) -> Vector:
        std_K, near_K = self._training.summary.y.std, self._huber_scale
        return huber_scale(self._training, *self.in_blocks(), std_K, near_K=near_K, rtol=_HUBER_RTOL)

    def _set_huber_scale(self, scale_K: Vector) -> None:
        self._huber_scale = scale_K
        self._model.set_huber_scale(torch.from_numpy(scale_K))

    def _squared(self, sums: torch.Tensor) -> Vector:
        """Return Σ w e² per target in the target's units, out of epoch sums."""
        squared_K: Vector = sums[1:].numpy() * self._scale.y_scale_K**2
        return squared_K

    def _check_finite(self, values: Iterable[float]) -> None:
        """Raise, on every worker alike, if training has diverged."""
        if all(math.isfinite(value) for value in values):
            return
        if self._spec.learning_rate == "auto":
            raise Diverged(f"Set solver.learning_rate, well below the {self._rate:.3g} that auto chose")
        raise Diverged(f"Lower solver.learning_rate (it was {self._rate:.3g})")

    def _zero_weights(self) -> torch.Tensor:
        return torch.zeros_like(self._flat_weights())

    def _flat_weights(self) -> torch.Tensor:
        return nn.utils.parameters_to_vector(self._model.linear.parameters()).detach().clone()

    def _weight_and_bias(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the result so far: the last iterate, or the mean of the epoch's."""
        linear = self._model.linear
        if not self._averages:
            return linear.weight.detach(), linear.bias.detach()
        size = linear.weight.numel()
        return self._mean_weights[:size].view_as(linear.weight), self._mean_weights[size:]


def _falls(loss: float | None, below: float) -> bool:
    return loss is not None and loss < below
