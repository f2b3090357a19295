"""`Exact`: the exact solver as the rest of the program sees it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from linreg_dist.jobspec.checks import Conflict
from linreg_dist.solvers.base import Solver

if TYPE_CHECKING:
    import numpy as np

    from linreg_dist.data.design.columns import Columns
    from linreg_dist.jobspec import JobSpec
    from linreg_dist.training.fit import Fit
    from linreg_dist.training.job import TrainJob
    from linreg_dist.training.training import Training
    from linreg_dist.training.worker import Worker

_MOMENTS_BYTES = 1 << 30  # of all lanes; at 4,096 columns one Gram matrix takes 128 MiB


class Exact(Solver):
    """Squared loss from the sums of one pass: a closed form, or coordinate descent with l1."""

    name = "exact"
    is_iterative = False
    standardizes = False
    has_statistics = True

    def refuses(self, spec: JobSpec) -> Iterator[Conflict]:
        """Yield also that there is no closed form for other losses."""
        if spec.model.loss != "squared":
            yield Conflict(
                ("solver", "name"),
                f"{spec.model.loss} loss has no closed form; use solver.name: auto or lbfgs, or model.loss: "
                "squared",
                (("solver", "name"), ("model", "loss")),
            )
        yield from super().refuses(spec)

    def block_dtype(self, job: TrainJob) -> type[np.floating[Any]]:
        """Return the type in which the digits of the files survive."""
        from linreg_dist.solvers.precision import dtype_of_files

        return dtype_of_files(job)

    def reads_again(self, job: TrainJob) -> bool:
        """Return whether robust errors take a second pass over the blocks.

        The pass for clusters needs ids that blocks do not hold, so it decodes again in any case.
        """
        return job.spec.model.covariance not in ("nonrobust", "cluster")

    def passes(self, spec: JobSpec) -> Iterator[tuple[str, float]]:
        """Yield the one pass, the second one for robust errors, and that over blocks in memory for MAE."""
        yield "solve", 1.0
        if spec.model.covariance != "nonrobust":
            yield "robust", 0.5
        yield "metrics", 0.1

    def most_lanes(self, spec: JobSpec, columns: Columns) -> int | None:
        """Return how many lanes may each hold moments of its own within 1 GiB.

        Levels that are yet to be found are not counted.
        """
        matrices = 1 + (spec.tune.folds if spec.tune else 1)
        return max(1, _MOMENTS_BYTES // (8 * matrices * (columns.known_width + len(columns.targets)) ** 2))

    def require_room(self, job: TrainJob, worker: Worker, num_columns: int) -> None:
        """Refuse sums of products that cannot be held: the square of the columns, for each fold and lane."""
        from linreg_dist.training.reading.capacity import require_room_for_moments

        require_room_for_moments(job, worker, num_columns)

    def fit(self, training: Training) -> Fit:
        """Sum moments in one pass and solve; with further passes for robust errors and for lost digits."""
        from linreg_dist.solvers.exact.fit import fit_exactly

        return fit_exactly(training)
