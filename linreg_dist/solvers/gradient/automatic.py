"""Automatic batch size and step size of the epoch loop."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from torch import nn

from linreg_dist.solvers.gradient.batch_size import measure_step
from linreg_dist.solvers.gradient.curvature import sample_curvature
from linreg_dist.solvers.gradient.optim import adaptive_learning_rate, sgd_learning_rate
from linreg_dist.solvers.gradient.solver import GradientSolver
from linreg_dist.training.checkpoints.checkpoint import Progress
from linreg_dist.training.rows.device import rows_of
from linreg_dist.training.rows.scaling import AffineScale
from linreg_dist.training.rows.sweep import Rows
from linreg_dist.training.training import Training


def choose_batch_size(
    training: Training, model: nn.Module, train_rows: int, earlier: Progress | None
) -> tuple[int, dict[str, Any]]:
    """Return the rows of a step over all workers, and for a measured choice what was measured.

    Args:
        training: this worker's part in the job; every worker must call.
        model: gives the loss of pieces, wrapped as in training. Timing it leaves gradients behind.
        train_rows: of all workers.
        earlier: where a continued run is: its plan was made with the batch size of then.

    """
    solver = training.job.spec.solver
    if solver.global_batch_size != "auto":
        return int(solver.global_batch_size), {}
    if earlier is not None:
        return earlier.global_batch_size, {}
    cost = measure_step(training.worker, model, _sample(training))
    batch = cost.batch_size(train_rows, solver.sync_every)
    return batch, {
        "fixed_step_s": cost.fixed_s,
        "sweep_rows_per_s": cost.rows_per_s,
        "fixed_share_of_step": cost.fixed_share(batch, solver.sync_every),
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


def _sample(training: Training) -> list[Rows]:
    """Return the training rows of this worker's first row group, in as many pieces as it has lanes."""
    num_lanes = len(training.my_lanes)
    for index in training.my_row_groups:
        block = training.data.store.load(index)
        if block.num_train:
            edges = np.linspace(0, block.num_train, num_lanes + 1).astype(int).tolist()
            return [rows_of(block, slice(a, b), training.worker.device) for a, b in pairwise(edges)]
    return []
