"""`ManySteps`: the fast ways to take steps for a worker that trains alone, many in a call.

On the cores that is one native call, on a GPU a series of launches that nothing waits for. Where neither can
be, steps are taken one by one, with autograd and `DistributedDataParallel`.
"""

from __future__ import annotations

from typing import Protocol

import torch

from linreg_dist.data.plan import EpochPlan
from linreg_dist.solvers.gradient.optim import PenalisedOptimizer
from linreg_dist.solvers.gradient.solver import GradientSolver
from linreg_dist.solvers.gradient.update_rules import REMEMBERED
from linreg_dist.training.rows.sweep import SweepPool, SweptLinear
from linreg_dist.training.training import Training


class ManySteps(Protocol):
    """A way to take many steps in a call; between calls the model and the optimizer are up to date."""

    def begin(self, plan: EpochPlan, first_step: int) -> bool:
        """Get ready for an epoch, or for what is left of it; False where this one has to go step by step."""

    def run(self, first: int, number: int, epoch_sums: torch.Tensor, mean: torch.Tensor) -> tuple[int, bool]:
        """Take steps for about a tenth of a second.

        Args:
            first: the first step within the epoch.
            number: the same over all epochs, for the schedule.
            epoch_sums, mean: Σw with Σ w e² per target, and the mean of the iterates; both are added to.

        Returns:
            How many steps were taken, and whether the loss of the next one is no longer finite.

        """

    def end(self) -> None:
        """Let go of the rows of the epoch."""


def many_steps(
    training: Training,
    model: SweptLinear,
    optimizer: PenalisedOptimizer,
    solver: GradientSolver,
    pool: SweepPool,
) -> ManySteps | None:
    """Return the fast way for this worker; None where there is none."""
    worker, spec = training.worker, training.job.spec
    if worker.world_size > 1 or solver.name not in REMEMBERED:
        return None
    averages = solver.averages(spec.solver)
    if worker.gpus is not None:
        from linreg_dist.solvers.gradient.on_gpu.steps import OnGpu

        return OnGpu(training, model, optimizer, solver.name, averages=averages, pool=pool)
    if not training.data.store.native:
        return None
    from linreg_dist.solvers.gradient.native import OnCores

    return OnCores(training, model, optimizer, solver.name, averages=averages)
