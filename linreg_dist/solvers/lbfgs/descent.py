"""Full-batch L-BFGS for what has no closed form: Huber loss, and squared loss with very many columns.

torch's `LBFGS` with a strong-Wolfe line search (Nocedal and Wright, Numerical Optimization, 2nd ed.,
algorithms 7.4 and 3.5) runs on every worker alike, on the same gradient: a pass over the kept blocks, summed
over workers.

Objective (the contract's): 1/(2 Σw) Σ w·loss(y - xᵀβ - b) + (l2/2) ‖β‖². Huber's loss is r² where |r| ≤ ε·s
and 2ε·s·|r| - (ε·s)² beyond, with ε = ``huber_epsilon`` and s the robust scale of `huber_scale`, estimated
again from the residuals before each epoch until it stays: the fixed point that iteratively reweighted
M-estimators with a MAD scale reach (Huber and Ronchetti, Robust Statistics, 2nd ed., section 7.8).

One epoch is at most 20 iterations under one scale. torch's `step` is called for one iteration at a time, so
that a checkpoint can be written between any two of them.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from linreg_dist.documents import EpochLine
from linreg_dist.solvers.device_choice import settle_device
from linreg_dist.solvers.epochs import Checkpoint, EpochEnd, Method, Position, Snapshot, run_epochs
from linreg_dist.solvers.lbfgs.objective import SCALE_RTOL, Objective
from linreg_dist.solvers.lbfgs.state import lbfgs_tensors, restore_lbfgs
from linreg_dist.training.fit import Fit
from linreg_dist.training.rows.huber import HuberObjective
from linreg_dist.training.rows.scaling import AffineScale
from linreg_dist.training.training import Training

ITERATIONS_PER_EPOCH = 20
HUBER_EPOCHS = 4  # after which the residuals' scale usually stays; for the display of progress only
_EVALUATIONS_PER_EPOCH = 4 * ITERATIONS_PER_EPOCH
_HISTORY = 20
_USUAL_PASSES = 30
# Of the unit-scale objective, whose terms are of order 1: the gradient, and the change of the objective or of
# the weights in one iteration, that the type of the blocks can resolve.
_TOLERANCES = {np.dtype(np.float32): (1e-6, 1e-9), np.dtype(np.float64): (1e-8, 1e-16)}


def fit_lbfgs(training: Training) -> Fit:
    """Minimise the objective; every worker returns the same fit.

    Raises:
        RunFailedError: the objective became infinite or NaN.

    """
    job = training.job
    scale = AffineScale.from_summary(
        training.summary,
        training.data.shift,
        # Without a penalty the scale changes the way to the solution and not the solution.
        standardize=job.standardize or job.spec.model.l2 == 0.0,
        scale_target=True,
        fit_intercept=job.spec.model.fit_intercept,
    )
    training, device = settle_device(training, lambda there: _remaining_s(there, scale))
    fit = run_epochs(training, FullBatch(training, scale))
    return replace(fit, choices={**fit.choices, **device})


def _remaining_s(training: Training, scale: AffineScale) -> float:
    """Return the seconds of a usual number of passes, after running two, the first of which brings the rows.

    How many it will be depends on the rows; each is an evaluation of the objective.
    """
    objective = Objective(training, scale)
    objective.evaluate()
    objective.forget_all()
    started = time.perf_counter()
    objective.evaluate()
    passes = min(_USUAL_PASSES, training.job.spec.solver.epochs * ITERATIONS_PER_EPOCH)
    return (time.perf_counter() - started) * passes


class FullBatch(Method):
    """Iterations of L-BFGS on all rows of all workers.

    Args:
        training: this worker's part in the job.
        scale: the unit scale to work on.

    """

    def __init__(self, training: Training, scale: AffineScale) -> None:
        self._training, self._scale = training, scale
        self._objective = Objective(training, scale)
        dtype = training.job.solver.block_dtype(training.job)
        self._gradient_tolerance, self._change_tolerance = _TOLERANCES[np.dtype(dtype)]
        self._is_huber = training.job.spec.model.loss == "huber"
        self._optimizer = self._new_optimizer()
        self._before = float("inf")  # the objective at the end of the last epoch, if under the same scale
        self._ended = False  # whether the epoch in progress has nothing left to do
        self._settled = False  # whether the last epoch got no further
        self._earlier_evaluations = 0  # when the epoch began, in this attempt
        self._first_gradient = float("inf")  # of the epoch in progress, in this attempt

    def init(self, found: Checkpoint | None) -> None:
        """Begin at zero weights, or where a checkpoint of this very job is."""
        if found is None:
            return
        tensors, objective = found[1], self._objective
        with torch.no_grad():
            objective.weight.copy_(tensors["weight"])
            objective.bias.copy_(tensors["bias"])
        objective.set_scale(tensors["huber_scale"].numpy())
        objective.evaluations = int(tensors["evaluations"])
        restore_lbfgs(self._optimizer, tensors)
        self._before, self._ended = float(tensors["before"]), bool(tensors["ended"])

    def begin_epoch(self, at: Position) -> str | None:
        """Measure Huber's scale again; where it stays, the fit has converged."""
        self._earlier_evaluations = self._objective.evaluations
        self._first_gradient = float("inf")
        if at.step == 0 and self._is_huber:
            changed = self._objective.update_scale(self._training.summary.y.std)
            if at.epoch and changed <= SCALE_RTOL:
                return "converged: the residuals' scale stays"
            # Another scale is another objective.
            self._optimizer, self._before = self._new_optimizer(), float("inf")
        return None

    def is_over(self, at: Position) -> bool:
        """Return whether another iteration would get no further."""
        return self._ended

    def step(self, at: Position) -> None:
        """Make one iteration and note whether another one would get any further, as torch's own `step`
        does.
        """
        objective = self._objective
        objective.forget()
        loss, weights = objective.evaluate(), self._flat_weights()
        self._first_gradient = min(self._first_gradient, objective.gradient)
        self._optimizer.step(objective.evaluate)
        moved = float((self._flat_weights() - weights).abs().max())
        improved = abs(objective.evaluate() - loss)
        self._ended = (
            at.step + 1 >= ITERATIONS_PER_EPOCH
            or objective.evaluations - self._earlier_evaluations >= _EVALUATIONS_PER_EPOCH
            or objective.gradient <= self._gradient_tolerance
            or moved <= self._change_tolerance
            or improved < self._change_tolerance
        )

    def tick(self, at: Position, first_step: int, seconds: float) -> None:
        """Write how far the fit is, as far as that can be known: by how much the gradient has shrunk."""
        objective, training = self._objective, self._training
        rows = training.summary.counts.train * (objective.evaluations - self._earlier_evaluations)
        training.log.tick(
            "train",
            self._fraction(at),
            epoch=at.epoch,
            epochs=training.job.spec.solver.epochs,
            rows=rows,
            rows_per_s=rows / seconds,
            loss=objective.train_mse,
        )

    def _fraction(self, at: Position) -> float:
        """Return how much of the fit is done: L-BFGS brings the gradient down by about a factor each time."""
        first, now = self._first_gradient, self._objective.gradient
        of_epoch = at.step / ITERATIONS_PER_EPOCH
        if self._gradient_tolerance < now < first < math.inf:
            of_epoch = max(of_epoch, math.log(first / now) / math.log(first / self._gradient_tolerance))
        expected = HUBER_EPOCHS if self._is_huber else 1
        return (at.epoch + min(of_epoch, 1.0)) / max(expected, at.epoch + 1)

    def end_epoch(self, at: Position, first_step: int) -> EpochEnd:
        """Return the loss at the epoch's end, and note whether it has settled."""
        objective = self._objective
        loss = objective.evaluate()
        self._settled = (
            objective.gradient <= self._gradient_tolerance
            or self._before - loss <= self._change_tolerance * abs(loss)
        )
        self._before, self._ended = loss, False
        passes = objective.evaluations - self._earlier_evaluations
        return EpochEnd(objective.train_mse, self._training.summary.counts.train * passes, loss)

    def terminate(self, line: EpochLine) -> str | None:
        """Return whether the gradient vanishes; under Huber's loss the scale decides, in `begin_epoch`."""
        return "converged: the gradient vanishes" if self._settled and not self._is_huber else None

    def in_blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the model so far."""
        return self._objective.in_blocks()

    def huber(self) -> HuberObjective | None:
        """Return Huber's objective under the epoch's scale."""
        if not self._is_huber:
            return None
        unit_K, scale_K = self._scale.y_scale_K, self._objective.scale_K
        weight_KD = self._objective.weight.detach().numpy() * unit_K[:, None]
        return HuberObjective.of(self._training.job.spec.model, scale_K, unit_K, weight_KD)

    def snapshot(self) -> Snapshot:
        """Return the weights, Huber's scale and the optimiser's memory."""
        objective = self._objective
        tensors = {
            "weight": objective.weight,
            "bias": objective.bias,
            "huber_scale": torch.from_numpy(objective.scale_K),
            "before": torch.tensor(self._before, dtype=torch.float64),
            "ended": torch.tensor(self._ended),
            "evaluations": torch.tensor(objective.evaluations),
        }
        state = lbfgs_tensors(self._optimizer)
        return Snapshot({**tensors, **state}, global_batch_size=self._training.summary.counts.train)

    def postprocess(self, at: Position, stopped: str) -> Fit:
        """Return the fit, and how far its gradient is from vanishing."""
        objective, job = self._objective, self._training.job
        weight, bias = objective.weight.detach(), objective.bias.detach()
        coef, intercept = self._scale.to_original(weight, bias, self._training.data.shift)
        choices: dict[str, Any] = {
            "standardize": job.standardize,
            "gradient": objective.gradient,
            "evaluations": objective.evaluations,
            "huber_scale": objective.scale_K.tolist() if self._is_huber else None,
        }
        return Fit(coef, intercept, epochs=at.epoch, stopped=stopped, choices=choices)

    def _flat_weights(self) -> torch.Tensor:
        return torch.cat([parameter.detach().reshape(-1) for parameter in self._objective.parameters])

    def _new_optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.LBFGS(
            self._objective.parameters,
            max_iter=1,
            max_eval=_EVALUATIONS_PER_EPOCH,
            history_size=_HISTORY,
            tolerance_grad=self._gradient_tolerance,
            tolerance_change=self._change_tolerance,
            line_search_fn="strong_wolfe",
        )
