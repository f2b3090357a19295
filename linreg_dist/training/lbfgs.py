"""Full-batch L-BFGS for what has no closed form: Huber loss, and squared loss with very many columns.

torch's `LBFGS` with a strong-Wolfe line search (Nocedal and Wright, Numerical Optimization, 2nd ed.,
algorithms 7.4 and 3.5) runs on every worker alike, on the same gradient: a pass over the kept blocks, summed
over workers.

Objective (the contract's): 1/(2 Σw) Σ w·loss(y - xᵀβ - b) + (l2/2) ‖β‖². Huber's loss is r² where |r| ≤ ε·s
and 2ε·s·|r| - (ε·s)² beyond, with ε = ``huber_epsilon`` and s the robust scale of `huber_scale`, estimated
anew from the residuals before each epoch until it stays: the fixed point that iteratively reweighted
M-estimators with a MAD scale reach (Huber and Ronchetti, Robust Statistics, 2nd ed., section 7.8).

One epoch is at most 20 iterations under one scale. torch's `step` is called for one iteration at a time, so
that a checkpoint can be written between any two of them.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, field

import torch

from linreg_dist.data.summary import BlockSummary
from linreg_dist.documents import EpochLine
from linreg_dist.training.checkpoint import CheckpointStore, Progress
from linreg_dist.training.evaluate import Evaluator
from linreg_dist.training.fit import Fit
from linreg_dist.training.job import TrainJob
from linreg_dist.training.lbfgs_state import lbfgs_tensors, restore_lbfgs
from linreg_dist.training.objective import SCALE_RTOL, Objective
from linreg_dist.training.prepare import OpenData
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.scaling import AffineScale
from linreg_dist.training.worker import Worker

ITERATIONS_PER_EPOCH = 20
_EVALUATIONS_PER_EPOCH = 4 * ITERATIONS_PER_EPOCH
_HISTORY = 20
# Of the unit-scale objective, whose terms are of order 1: the gradient, and the change of the objective or of
# the weights in one iteration, that the type of the blocks can resolve.
_TOLERANCES = {torch.float32: (1e-6, 1e-9), torch.float64: (1e-8, 1e-16)}


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
    objective = Objective(worker, job, data, scale, summary.counts.train, log)
    descent = _Descent(worker, job, objective, summary, evaluator, log, _TOLERANCES[dtype])
    started = time.perf_counter()
    earlier = objective.evaluations
    with closing(descent.checkpoints):
        stopped = descent.run()
    elapsed = time.perf_counter() - started
    coef, intercept = scale.to_original(objective.weight.detach(), objective.bias.detach(), data.shift)
    return Fit(
        coef,
        intercept,
        epochs=descent.state.epoch,
        stopped=stopped,
        choices={
            "standardize": job.standardize,
            "gradient": objective.gradient,
            "evaluations": objective.evaluations,
            "huber_scale": objective.scale_K.tolist() if job.spec.model.loss == "huber" else None,
        },
        rows_per_s=summary.counts.train * (objective.evaluations - earlier) / elapsed,
        train_s=elapsed,
    )


@dataclass
class _State:
    """Where a descent stands, beside the weights, the scale and the optimiser's own state.

    Attributes:
        epoch, iteration: finished epochs, and finished iterations of the one in progress.
        before: the objective at the end of the last epoch, if it was under the same scale.
        ended: whether the epoch in progress has nothing left to do.
        history: the finished epochs' lines of metrics.jsonl.

    """

    epoch: int = 0
    iteration: int = 0
    before: float = float("inf")
    ended: bool = False
    history: list[EpochLine] = field(default_factory=list)


class _Descent:
    """The epochs of an L-BFGS fit; it begins where the newest checkpoint of this job stands."""

    def __init__(
        self,
        worker: Worker,
        job: TrainJob,
        objective: Objective,
        summary: BlockSummary,
        evaluator: Evaluator,
        log: MetricsLog,
        tolerance: tuple[float, float],
    ) -> None:
        self._worker, self._job, self._objective = worker, job, objective
        self._summary, self._evaluator, self._log = summary, evaluator, log
        self._gradient_tolerance, self._change_tolerance = tolerance
        self._is_huber = job.spec.model.loss == "huber"
        self.checkpoints = CheckpointStore(job.run_dir / "checkpoints", job.spec.run.num_to_keep)
        self._optimizer = self._new_optimizer()
        self.state = _State()
        # Together, because a store that does not answer rank 0 must not leave the others waiting for it.
        found = worker.together(
            lambda: self.checkpoints.latest(job.fingerprint) if worker.rank == 0 else None
        )[0]
        if found is not None:
            self._resume(*found)
        self._saved_at = time.monotonic()

    def run(self) -> str:
        """Run the epochs that are left and return why the last one ended."""
        state, objective = self.state, self._objective
        while True:
            started, evaluations = time.perf_counter(), objective.evaluations
            if state.iteration == 0 and self._is_huber:
                changed = objective.update_scale(self._summary.y.std)
                if state.epoch and changed <= SCALE_RTOL:
                    return "converged: the residuals' scale stays"
                # Another scale is another objective.
                self._optimizer, state.before = self._new_optimizer(), float("inf")
            while not state.ended:
                self._iterate(evaluations)
                self._save_if_due()
            loss = objective.evaluate()
            line = objective.line(state.epoch, self._evaluator, started, evaluations)
            state.history.append(line)
            self._log.line(line)
            change = state.before - loss
            settled = objective.gradient <= self._gradient_tolerance
            settled = settled or change <= self._change_tolerance * abs(loss)
            state.epoch, state.iteration, state.before, state.ended = state.epoch + 1, 0, loss, False
            if not self._is_huber and settled:
                return "converged: the gradient vanishes"
            if state.epoch >= self._job.spec.solver.epochs:
                return f"epochs: all {state.epoch} were run"
            self._save_if_due()

    def _iterate(self, evaluations: int) -> None:
        """Make one iteration and note whether another one would get any further, as torch's own `step` does.

        Args:
            evaluations: the objective's when the epoch began, in this attempt.

        """
        objective, state = self._objective, self.state
        objective.forget()
        loss, weights = objective.evaluate(), self._flat_weights()
        self._optimizer.step(objective.evaluate)
        moved = float((self._flat_weights() - weights).abs().max())
        improved = abs(objective.evaluate() - loss)
        state.iteration += 1
        state.ended = (
            state.iteration >= ITERATIONS_PER_EPOCH
            or objective.evaluations - evaluations >= _EVALUATIONS_PER_EPOCH
            or objective.gradient <= self._gradient_tolerance
            or moved <= self._change_tolerance
            or improved < self._change_tolerance
        )

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

    def _save_if_due(self) -> None:
        due = time.monotonic() - self._saved_at >= self._job.spec.run.checkpoint_every_s
        if not due or self.checkpoints.is_busy:
            return
        self._saved_at = time.monotonic()
        if self._worker.rank != 0:
            return
        state, objective = self.state, self._objective
        progress = Progress(
            epoch=state.epoch,
            step=state.iteration,
            global_batch_size=self._summary.counts.train,
            fingerprint=self._job.fingerprint,
            epoch_sums=[],
            world_size=self._worker.world_size,
            history=state.history,
            best=None,
            stale=0,
        )
        tensors = {
            "weight": objective.weight,
            "bias": objective.bias,
            "huber_scale": torch.from_numpy(objective.scale_K),
            "before": torch.tensor(state.before, dtype=torch.float64),
            "ended": torch.tensor(state.ended),
            "evaluations": torch.tensor(objective.evaluations),
        }
        self.checkpoints.save(progress, {**tensors, **lbfgs_tensors(self._optimizer)})

    def _resume(self, progress: Progress, tensors: dict[str, torch.Tensor]) -> None:
        """Continue where a checkpoint of this very job stands."""
        objective = self._objective
        with torch.no_grad():
            objective.weight.copy_(tensors["weight"])
            objective.bias.copy_(tensors["bias"])
        objective.set_scale(tensors["huber_scale"].numpy())
        objective.evaluations = int(tensors["evaluations"])
        restore_lbfgs(self._optimizer, tensors)
        self.state = _State(
            epoch=progress.epoch,
            iteration=progress.step,
            before=float(tensors["before"]),
            ended=bool(tensors["ended"]),
            history=list(progress.history),
        )
        for line in progress.history:
            self._log.line(line)
