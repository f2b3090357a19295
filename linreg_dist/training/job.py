"""What a worker is told: everything that was decided before it started."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

from linreg_dist.data.columns import Columns
from linreg_dist.data.encoding import Encoding
from linreg_dist.data.manifest import Manifest
from linreg_dist.data.plan import deal_lanes, lanes_of_worker
from linreg_dist.spec import JobSpec, spec_hash
from linreg_dist.storage import Location

MAX_EXACT_COLUMNS = 4096
"""Up to how many encoded columns ``auto`` solves squared loss exactly."""


@dataclass(frozen=True)
class TrainJob:
    """One job as every worker sees it.

    Attributes:
        spec: the checked spec, with absolute paths.
        manifest, columns: what the driver read from the footers, and which column plays which part.
        num_lanes: virtual shards; the same for any number of workers.
        solver: the solver that ``auto`` stands for.
        run_dir: the run's folder.
        encoding: how an earlier run encoded the columns, where this one adds to its statistics; None lets the
            data decide.
        update_from: the statistics that this run adds to, or None.

    """

    spec: JobSpec
    manifest: Manifest
    columns: Columns
    num_lanes: int
    solver: str
    run_dir: Location
    encoding: Encoding | None = None
    update_from: Location | None = None

    @property
    def fingerprint(self) -> str:
        """A hash of what determines the result: the spec's say and the data's."""
        return hashlib.sha256(f"{spec_hash(self.spec)}:{self.manifest.digest}".encode()).hexdigest()

    @property
    def pending_statistics(self) -> Location:
        """Where the exact solver leaves its statistics; they count once the run has succeeded."""
        return self.run_dir / "statistics.pending.safetensors"

    @property
    def pending_covariance(self) -> Location:
        """Where the exact solver leaves the covariance of the coefficients, likewise."""
        return self.run_dir / "covariance.pending.safetensors"

    @property
    def lanes(self) -> tuple[tuple[int, ...], ...]:
        """The row groups of each lane."""
        return deal_lanes(self.manifest, self.num_lanes)

    def lanes_of(self, rank: int, world_size: int) -> range:
        """Return the lanes that a worker owns."""
        return lanes_of_worker(self.num_lanes, rank, world_size)

    @property
    def standardize(self) -> bool:
        """What ``standardize: auto`` stands for: on when penalised or iterative."""
        return standardizes(self.spec, self.solver)


def standardizes(spec: JobSpec, solver: str) -> bool:
    """Return whether a solver is to see features divided by their standard deviation."""
    model = spec.model
    if model.standardize == "auto":
        return model.l1 > 0 or model.l2 > 0 or spec.tune is not None or solver != "exact"
    return model.standardize


def settle_solver(job: TrainJob, num_columns: int) -> TrainJob:
    """Return the job with the solver that ``auto`` stands for, now that the encoded columns are counted.

    A Gram matrix of very many columns takes more memory and arithmetic than passes over the data. What only
    the exact solver can do (l1, tuning, robust errors, adding to earlier statistics) it still does.
    """
    spec = job.spec
    only_exact = (
        spec.model.l1 > 0
        or spec.model.covariance != "nonrobust"
        or spec.tune is not None
        or job.update_from is not None
    )
    wide = spec.solver.name == "auto" and job.solver == "exact" and num_columns > MAX_EXACT_COLUMNS
    return replace(job, solver="lbfgs") if wide and not only_exact else job
