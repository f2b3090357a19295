"""Full-batch L-BFGS for what has no closed form: Huber loss, and squared loss with very many columns.

torch's `LBFGS` with a strong-Wolfe line search (Nocedal and Wright, Numerical Optimization, 2nd ed.,
algorithms 7.4 and 3.5) runs on every worker alike, on the same gradient: a pass over the kept blocks, summed
over workers.

Objective (the contract's): 1/(2 Σw) Σ w·loss(y - xᵀβ - b) + (l2/2) ‖β‖². Huber's loss is r² where |r| ≤ ε·s
and 2ε·s·|r| - (ε·s)² beyond, with ε = ``huber_epsilon`` and s the robust scale of `huber_scale`, estimated
anew from the residuals before each epoch until it stays: the fixed point that iteratively reweighted
M-estimators with a MAD scale reach (Huber and Ronchetti, Robust Statistics, 2nd ed., section 7.8).

One epoch is one `step` of torch's LBFGS: at most 20 iterations.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.summary import BlockSummary
from linreg_dist.errors import RunFailedError
from linreg_dist.training.evaluate import Evaluator
from linreg_dist.training.fit import Fit
from linreg_dist.training.full_pass import sum_over_rows
from linreg_dist.training.huber_scale import residual_scale
from linreg_dist.training.job import TrainJob
from linreg_dist.training.prepare import OpenData
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.scaling import AffineScale
from linreg_dist.training.sweep import Hyperplane, Rows, sweep_slices
from linreg_dist.training.worker import Worker

ITERATIONS_PER_EPOCH = 20
_HISTORY = 20
_SCALE_RTOL = 1e-6
# Of the unit-scale objective, whose terms are of order 1: the gradient, and the change of the objective or of
# the weights in one iteration, that the type of the blocks can resolve.
_TOLERANCES = {torch.float32: (1e-6, 1e-9), torch.float64: (1e-8, 1e-16)}
# Where more than half of the residuals vanish the median is zero, and a Huber loss of that scale is none.
_SMALLEST_SCALE = 1e-6  # of the target's standard deviation


def fit_lbfgs(
    worker: Worker,
    job: TrainJob,
    data: OpenData,
    summary: BlockSummary,
    scale: AffineScale,
    evaluator: Evaluator,
    log: MetricsLog,
    dtype: torch.dtype,
) -> Fit:
    """Minimise the objective; every worker returns the same fit.

    Args:
        worker, job, data, log: as in training.
        summary: of all rows.
        scale: the unit scale to work on.
        evaluator: measures the validation rows after each epoch.
        dtype: of the blocks.

    Raises:
        RunFailedError: the objective became infinite or NaN.

    """
    started = time.perf_counter()
    objective = _Objective(worker, job, data, scale, summary.counts.train, log)
    weight, bias = objective.parameters
    tolerance = _TOLERANCES[dtype]
    epochs, stopped = job.spec.solver.epochs, ""
    is_huber = job.spec.model.loss == "huber"
    optimizer: torch.optim.Optimizer | None = None
    epoch, before = 0, float("inf")
    while not stopped:
        epoch_started, evaluations = time.perf_counter(), objective.evaluations
        changed = objective.update_scale(summary.y.std) if is_huber else 0.0
        if is_huber and epoch and changed <= _SCALE_RTOL:
            stopped = "converged: the residuals' scale stays"
            break
        if optimizer is None or is_huber:  # another scale is another objective
            optimizer, before = _optimizer([weight, bias], tolerance), float("inf")
        optimizer.step(objective.closure)
        loss, gradient = objective.evaluate()
        line = objective.line(epoch, evaluator, epoch_started, evaluations)
        log.line(line)
        epoch += 1
        settled = gradient <= tolerance[0] or before - loss <= tolerance[1] * abs(loss)
        before = loss
        if not is_huber and settled:
            stopped = "converged: the gradient vanishes"
        elif epoch == epochs:
            stopped = f"epochs: all {epochs} were run"
    elapsed = time.perf_counter() - started
    coef, intercept = scale.to_original(weight.detach(), bias.detach(), data.shift)
    return Fit(
        coef,
        intercept,
        epochs=epoch,
        stopped=stopped,
        choices={
            "standardize": job.standardize,
            "gradient": objective.gradient,
            "evaluations": objective.evaluations,
            "huber_scale": objective.scale_K.tolist() if is_huber else None,
        },
        rows_per_s=summary.counts.train * objective.evaluations / elapsed,
        train_s=elapsed,
    )


def _optimizer(parameters: list[torch.Tensor], tolerance: tuple[float, float]) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(
        parameters,
        max_iter=ITERATIONS_PER_EPOCH,
        max_eval=4 * ITERATIONS_PER_EPOCH,
        history_size=_HISTORY,
        tolerance_grad=tolerance[0],
        tolerance_change=tolerance[1],
        line_search_fn="strong_wolfe",
    )


class _Objective:
    """The objective and its gradient on the unit scale, from one pass over the rows of all workers."""

    def __init__(
        self,
        worker: Worker,
        job: TrainJob,
        data: OpenData,
        scale: AffineScale,
        train_rows: int,
        log: MetricsLog,
    ) -> None:
        self._worker, self._job, self._data, self._scale = worker, job, data, scale
        self._train_rows, self._log = train_rows, log
        self._shape = (data.encoding.num_encoded, len(job.columns.targets))
        width, targets = self._shape
        self.weight = torch.zeros((targets, width), dtype=torch.float64, requires_grad=True)
        self.bias = torch.zeros(targets, dtype=torch.float64, requires_grad=job.spec.model.fit_intercept)
        self.scale_K: npt.NDArray[np.float64] = np.zeros(targets)
        self.evaluations = 0
        self.gradient = float("inf")
        self._train_mse = float("nan")

    @property
    def parameters(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights (K, D) and intercepts (K,) on the unit scale; they start at zero."""
        return self.weight, self.bias

    def update_scale(self, std_K: npt.NDArray[np.float64]) -> float:
        """Measure the residuals' scale at the present weights; return by how much it changed, relatively."""
        plane = self._plane()
        found = residual_scale(self._worker, self._job, self._data, plane.coef_DK, plane.intercept_K)
        found = np.maximum(found, _SMALLEST_SCALE * np.where(std_K > 0, std_K, 1.0))
        change = float(np.max(np.abs(found / self.scale_K - 1.0))) if self.scale_K.all() else float("inf")
        if change > _SCALE_RTOL:
            self.scale_K = found
        return change

    def closure(self) -> float:
        """Return the objective and leave its gradient in the parameters: what torch's LBFGS calls."""
        return self.evaluate()[0]

    def evaluate(self) -> tuple[float, float]:
        """Return the objective and the largest element of its gradient.

        Raises:
            RunFailedError: it is not finite.

        """
        width, targets = self._shape
        plane = self._plane()

        def sums(rows: Rows) -> torch.Tensor:
            total = torch.zeros(1 + targets * (width + 3), dtype=torch.float64, device=rows.x_ND.device)
            total[0] = rows.weight
            for loss, squared, grad_DK, grad_K in sweep_slices(rows, plane.to(rows.x_ND.dtype)):
                total[1:] += torch.cat([loss, squared, grad_K, grad_DK.reshape(-1)]).double()
            return total

        found = sum_over_rows(self._worker, self._job, self._data, sums, 1 + targets * (width + 3))
        sum_w = found[0]
        loss_K, squared_K, grad_K = found[1 : 1 + 3 * targets].reshape(3, targets)
        grad_DK = found[1 + 3 * targets :].reshape(width, targets)
        grad_KD, grad_bias = self._scale.gradients(grad_DK, grad_K)
        l2 = self._job.spec.model.l2
        weight = self.weight.detach()
        unit_K = torch.from_numpy(self._scale.y_scale_K) ** 2
        objective = float((loss_K / unit_K).sum() / sum_w + l2 / 2 * weight.square().sum())
        if not np.isfinite(objective):
            raise RunFailedError(
                "the objective is no longer finite; check the features for values near the largest float32 "
                "(linreg-dist inspect), or express them in larger units"
            )
        self.weight.grad = (grad_KD / sum_w + l2 * weight).contiguous()  # torch flattens it by a view
        self.gradient = float(self.weight.grad.abs().max())
        if self.bias.requires_grad:
            self.bias.grad = grad_bias / sum_w
            self.gradient = max(self.gradient, float(self.bias.grad.abs().max()))
        self._train_mse = float((squared_K / sum_w).mean())
        self.evaluations += 1
        if self._log.tick_due():
            self._log.tick("train", 0.0, rows=self._train_rows * self.evaluations, loss=self._train_mse)
        return objective, self.gradient

    def line(self, epoch: int, evaluator: Evaluator, started: float, evaluations: int) -> dict[str, Any]:
        """Return the line of metrics.jsonl for an epoch that began at ``started``."""
        validation = evaluator.validation(*self._scale.to_blocks(self.weight.detach(), self.bias.detach()))
        seconds = time.perf_counter() - started
        return {
            "epoch": epoch,
            "rows": self._train_rows,
            "rows_per_s": self._train_rows * (self.evaluations - evaluations) / seconds,
            "seconds": seconds,
            "train_mse": self._train_mse,
            "validation_mse": validation["mse"] if validation else None,
            "validation_r2": validation["r2"] if validation else None,
        }

    def _plane(self) -> Hyperplane:
        model, device = self._job.spec.model, self._worker.device
        coef_DK, intercept_K = self._scale.to_blocks(self.weight.detach(), self.bias.detach())
        epsilon = None
        if model.loss == "huber":
            epsilon = torch.from_numpy(model.huber_epsilon * self.scale_K).to(device)
        return Hyperplane(coef_DK.to(device), intercept_K.to(device), model.loss, epsilon)
