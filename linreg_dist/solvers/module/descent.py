"""Steps of one of torch's optimizers on a module of the user's own, on mini-batches of all workers' rows.

It minimises 1/(2 Σw) Σ w ((y - f(x)) / q)² with q the spread of a target, on the same plan of batches as the
linear model: the gradient of a step is that of all workers' rows, for any number of workers.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save
from torch import nn

from linreg_dist.data.block import Block
from linreg_dist.data.plan import num_steps
from linreg_dist.documents import EpochLine
from linreg_dist.model.network import ScaledNetwork, build_module
from linreg_dist.solvers.device_choice import settle_device
from linreg_dist.solvers.epochs import Checkpoint, Diverged, EpochEnd, Method, Position, Snapshot, run_epochs
from linreg_dist.solvers.gradient.batches import epoch_batches
from linreg_dist.solvers.gradient.optim import scheduled
from linreg_dist.storage import write_whole
from linreg_dist.training.evaluate import Evaluator, Predictor
from linreg_dist.training.fit import Fit
from linreg_dist.training.rows.scaling import AffineScale
from linreg_dist.training.rows.sweep import Rows
from linreg_dist.training.training import Training

_STEPS_PER_EPOCH = 256  # where the batch size is left to us
_SMALLEST_BATCH, _LARGEST_BATCH = 32, 8192
_RATES = {"sgd": 0.05, "adam": 3e-3, "adamw": 3e-3, "rmsprop": 1e-3}


def fit_module(training: Training, rule: str) -> Fit:
    """Train the job's module; every worker returns the same fit, and rank 0 leaves the weights in the run.

    Args:
        training: this worker's part in the job.
        rule: sgd, adam, adamw or rmsprop.

    Raises:
        SpecError: on every worker alike: the module cannot be made, or does not fit the data.
        RunFailedError: the loss became infinite or NaN.

    """
    training, device = settle_device(training, None)
    fit = run_epochs(training, ModuleSteps(training, rule))
    return replace(fit, choices={**fit.choices, **device})


class ModuleSteps(Method):
    """Steps on a module of the user's."""

    def __init__(self, training: Training, rule: str) -> None:
        worker, job = training.worker, training.job
        self._training, self._worker, self._rule = training, worker, rule
        self._spec = job.spec.solver
        self._train_rows = training.summary.counts.train
        scale = AffineScale.from_summary(
            training.summary,
            training.data.shift,
            standardize=job.standardize,
            scale_target=True,
            fit_intercept=True,
        )
        self._scale = scale
        torch.manual_seed(self._spec.seed)  # all workers begin with the same weights

        def make() -> ScaledNetwork:
            model = job.spec.model
            inner = build_module(
                str(model.module), model.module_args, training.num_features, training.num_targets
            )
            network = ScaledNetwork(
                inner, scale.x_mean_D, scale.x_scale_D, scale.y_mean_K, scale.y_scale_K
            ).to(worker.device)
            network.eval()
            network.predict(np.zeros((2, training.num_features)))  # refuses outputs of another shape
            return network

        made: list[ScaledNetwork] = []
        worker.together(lambda: made.append(make()))
        self._network = made[0]
        self._wrapped = self._wrap()
        self._lanes = job.lanes_of(worker.rank, worker.world_size)
        self._batches: Iterator[list[Rows]] = iter(())
        self._sums = np.zeros(1 + training.num_targets)
        self._best: float | None = None
        self._stale = 0

    def init(self, found: Checkpoint | None) -> None:
        """Choose the batch and the step size, and begin."""
        batch = self._spec.global_batch_size
        if batch == "auto":
            wanted = -(-self._train_rows // _STEPS_PER_EPOCH)
            batch = found[0].global_batch_size if found else min(max(wanted, _SMALLEST_BATCH), _LARGEST_BATCH)
        self._batch = min(int(batch), max(self._train_rows, 1))
        self._steps = num_steps(self._train_rows, self._batch)
        rate = self._spec.learning_rate
        self._rate = _RATES[self._rule] if rate == "auto" else float(rate)
        self._optimizer = self._new_optimizer()
        if found is None:
            return
        progress, tensors = found
        state = {
            name.removeprefix("module."): value for name, value in tensors.items() if name[:7] == "module."
        }
        self._network.inner.load_state_dict(state)
        self._restore_optimizer(tensors)
        self._sums = np.array(progress.epoch_sums)
        if progress.world_size != self._worker.world_size:  # a mean over another number of workers
            self._sums *= progress.world_size / self._worker.world_size
        self._best, self._stale = progress.best, progress.stale

    def begin_epoch(self, at: Position) -> str | None:
        """Plan the epoch's batches."""
        data = self._training.data
        plan = self._training.epoch_plan(at.epoch, self._steps)
        self._batches = epoch_batches(data.store, plan, self._lanes, self._training.on_device, at.step)
        return None

    def is_over(self, at: Position) -> bool:
        """Return whether every batch had its step."""
        return at.step >= self._steps

    def step(self, at: Position) -> None:
        """Take one step on the gradient of all workers' rows."""
        x_ND, y_NK, w_N = self._rows(next(self._batches))
        number = at.epoch * self._steps + at.step
        # Whatever the module draws is the same when a step is taken again.
        torch.manual_seed(hash((self._spec.seed, number, self._worker.rank)) & (2**63 - 1))
        self._network.train()
        self._optimizer.zero_grad()
        target_NK = (y_NK - self._network.y_mean) / self._network.y_scale
        error_NK = target_NK - self._wrapped(x_ND).double()
        with torch.no_grad():
            squared_K = (w_N[:, None] * error_NK.square()).sum(dim=0)
            found = torch.cat([w_N.sum()[None], squared_K]).cpu().numpy()
        sums = self._worker.sum(found)
        if not np.isfinite(sums).all():
            raise Diverged(f"Lower solver.learning_rate (it was {self._rate:.3g})")
        self._sums += sums / self._worker.world_size
        if sums[0] <= 0.0:
            return
        # DistributedDataParallel takes the mean over workers, and the loss is the sum of their parts.
        loss = (w_N[:, None] * error_NK.square()).sum() * (self._worker.world_size / (2.0 * sums[0]))
        with self._worker.waiting():
            loss.backward()
        for group in self._optimizer.param_groups:
            group["lr"] = scheduled(self._rate, self._spec.schedule, number, self._steps * self._spec.epochs)
        self._optimizer.step()

    def agree(self, at: Position, *, due: bool) -> bool:
        """Return whether a checkpoint is due; between epochs that of the last step has it all."""
        return due and at.step > 0

    def tick(self, at: Position, first_step: int, seconds: float) -> None:
        """Write how far the epochs are."""
        steps, epochs, done = self._steps, self._spec.epochs, at.step - first_step
        self._training.log.tick(
            "train",
            (at.epoch * steps + at.step) / (epochs * steps),
            epoch=at.epoch,
            epochs=epochs,
            rows=int(self._train_rows * at.step / steps),
            rows_per_s=self._train_rows * done / steps / seconds,
            loss=self._mse(self._sums),
        )

    def end_epoch(self, at: Position, first_step: int) -> EpochEnd:
        """Return the loss over the epoch, and start the next sums."""
        self._batches = iter(())  # lets go of the last blocks
        sums, self._sums = self._sums, np.zeros_like(self._sums)
        rows = self._train_rows * (self._steps - first_step) / self._steps
        return EpochEnd(self._mse(sums) or 0.0, rows)

    def terminate(self, line: EpochLine) -> str | None:
        """Return whether the watched loss has not fallen for ``early_stop.patience`` epochs."""
        early = self._spec.early_stop
        watched = line.train_mse if line.validation_mse is None else line.validation_mse
        if early is None or watched is None:
            return None
        if self._best is None or watched < self._best * (1.0 - early.min_rel_progress):
            self._best, self._stale = watched, 0
        else:
            self._stale += 1
        if self._stale >= early.patience:
            return f"early_stop: no progress for {early.patience} epochs"
        return None

    def predictor(self) -> Predictor:
        """Return what predicts the rows of a block."""
        self._network.eval()

        def predict(rows: Block) -> npt.NDArray[np.float64]:
            return self._network.predict(rows.x_ND)

        return predict

    def in_blocks(self) -> Any:
        """Not to be called: there are no coefficients.

        Raises:
            TypeError: always.

        """
        raise TypeError("a module has no coefficients; ask for predictor()")

    def snapshot(self) -> Snapshot:
        """Return the module's and the optimizer's state."""
        tensors = {f"module.{name}": value for name, value in self._network.inner.state_dict().items()}
        for index, state in self._optimizer.state_dict()["state"].items():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value
        return Snapshot(
            {name: value.detach().clone() for name, value in tensors.items()},
            self._batch,
            self._sums.tolist(),
            self._best,
            self._stale,
        )

    def postprocess(self, at: Position, stopped: str) -> Fit:
        """Return the fit; rank 0 leaves the weights, and the scales in the units of the files, in the run."""
        training, shift = self._training, self._training.data.shift

        def write() -> None:
            if self._worker.rank != 0:
                return
            scale = self._scale
            scales = {
                "scale.x_mean": scale.x_mean_D + shift.x_D,
                "scale.x_scale": scale.x_scale_D,
                "scale.y_mean": scale.y_mean_K + shift.y_K,
                "scale.y_scale": scale.y_scale_K,
            }
            state = {f"module.{name}": value for name, value in self._network.inner.state_dict().items()}
            state |= {name: torch.from_numpy(np.array(value)) for name, value in scales.items()}
            whole = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
            write_whole(training.job.pending_module, save(whole, metadata={"format": "linreg_dist"}))

        self._worker.together(write)
        nothing = np.full((training.num_targets, training.num_features), np.nan)
        return Fit(
            nothing,
            nothing[:, 0],
            epochs=at.epoch,
            stopped=stopped,
            choices={
                "learning_rate": self._rate,
                "global_batch_size": self._batch,
                "steps_per_epoch": self._steps,
                "standardize": training.job.standardize,
            },
            metrics=Evaluator.of(training).final_of(self.predictor()),
        )

    def _rows(self, pieces: list[Rows]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return a step's rows; a worker without any brings one of weight 0, so that all take part."""
        device, width, targets = (
            self._worker.device,
            self._training.num_features,
            self._training.num_targets,
        )
        pieces = [piece for piece in pieces if len(piece.x_ND)]
        if not pieces:
            zeros = torch.zeros((1, width + targets + 1), dtype=torch.float64, device=device)
            return zeros[:, :width], zeros[:, width : width + targets], zeros[:, -1]
        x_ND = torch.cat([piece.x_ND for piece in pieces])
        y_NK = torch.cat([piece.y_NK for piece in pieces]).double()
        w_N = torch.cat(
            [torch.ones_like(piece.y_NK[:, 0]) if piece.w_N is None else piece.w_N for piece in pieces]
        )
        return x_ND, y_NK, w_N.double()

    def _mse(self, sums: npt.NDArray[np.float64]) -> float | None:
        """Return the mean squared error over targets, in their units; ``sums`` are means over workers."""
        if sums[0] <= 0.0:
            return None
        value = float(np.mean(sums[1:] / sums[0] * self._scale.y_scale_K**2))
        return value if math.isfinite(value) else None

    def _new_optimizer(self) -> torch.optim.Optimizer:
        parameters = [each for each in self._network.inner.parameters() if each.requires_grad]
        l2, momentum = self._training.job.spec.model.l2, self._spec.momentum
        if self._rule == "sgd":
            return torch.optim.SGD(parameters, lr=self._rate, momentum=momentum, weight_decay=l2)
        if self._rule == "rmsprop":
            return torch.optim.RMSprop(parameters, lr=self._rate, momentum=momentum, weight_decay=l2)
        kind = torch.optim.AdamW if self._rule == "adamw" else torch.optim.Adam
        return kind(parameters, lr=self._rate, weight_decay=l2)

    def _restore_optimizer(self, tensors: dict[str, torch.Tensor]) -> None:
        whole = self._optimizer.state_dict()
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in tensors.items():
            if key.startswith("optimizer."):
                _, index, name = key.split(".", 2)
                state.setdefault(int(index), {})[name] = value
        self._optimizer.load_state_dict({"state": state, "param_groups": whole["param_groups"]})

    def _wrap(self) -> nn.Module:
        if self._worker.world_size == 1:
            return self._network
        import ray.train.torch

        wrapped: nn.Module = ray.train.torch.prepare_model(
            self._network, parallel_strategy_kwargs={"process_group": self._worker.group}
        )
        return wrapped
