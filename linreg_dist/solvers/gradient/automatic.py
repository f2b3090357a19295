"""Automatic batch size and step size of the epoch loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from linreg_dist.jobspec import SolverSpec
from linreg_dist.solvers.gradient.batch_size import bounds, choose_by_time
from linreg_dist.solvers.gradient.curvature import sample_curvature
from linreg_dist.solvers.gradient.optim import adaptive_learning_rate, sgd_learning_rate
from linreg_dist.solvers.gradient.solver import GradientSolver
from linreg_dist.training.checkpoints.checkpoint import Progress
from linreg_dist.training.rows.scaling import AffineScale
from linreg_dist.training.training import Training


def choose_batch_size(
    spec: SolverSpec, train_rows: int, step_s: Callable[[int], float], earlier: Progress | None
) -> tuple[int, dict[str, Any]]:
    """Return the rows of a step over all workers, and for a measured choice what was measured and why.

    Args:
        spec: of the solver.
        train_rows: of all workers.
        step_s: runs a few steps of a size and returns the seconds of one; every worker calls it alike.
        earlier: where a continued run is: its plan was made with the batch size of then.

    """
    if spec.global_batch_size != "auto":
        return int(spec.global_batch_size), {}
    if earlier is not None:
        return earlier.global_batch_size, {"batch_size_reason": "as the attempt before has chosen"}
    fewest, most = bounds(train_rows)
    if fewest == most:
        return fewest, {"batch_size_reason": "there are too few rows to choose"}
    found = choose_by_time(train_rows, step_s)
    return found.batch, {
        "fixed_step_s": found.cost.fixed_s,
        "sweep_rows_per_s": found.cost.rows_per_s,
        "fixed_share_of_step": found.cost.fixed_share(found.batch),
        "batch_size_first_chosen": found.first,
        "batch_size_reason": found.reason,
    }


def choose_learning_rate(
    training: Training, solver: GradientSolver, scale: AffineScale, train_rows: int, steps: int
) -> float:
    """Return the base step; ``steps`` are those of an epoch."""
    spec, model = training.job.spec.solver, training.job.spec.model
    if spec.learning_rate != "auto":
        return float(spec.learning_rate)
    if solver.is_curvature_bound:
        curvature = sample_curvature(training, scale)
        return sgd_learning_rate(curvature, train_rows / steps, model.l2, spec.momentum)
    return adaptive_learning_rate(steps * spec.epochs)
