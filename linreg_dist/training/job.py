"""The job as a worker sees it, with everything settled."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from linreg_dist.data.design.columns import Columns
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.plan import deal_lanes, lanes_of_worker
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.jobspec import JobSpec, spec_hash
from linreg_dist.storage import Location

if TYPE_CHECKING:
    from linreg_dist.solvers.base import Choice, Solver


@dataclass(frozen=True)
class TrainJob:
    """One job as every worker sees it.

    Attributes:
        spec: the checked spec, with absolute paths.
        manifest, columns: what the driver read from the footers, and which column plays which part.
        num_lanes: virtual shards; the same for any number of workers.
        choice: the solver, why it was chosen, and what replaces it where the columns are too many for it.
        run_dir: the run's folder.
        encoding: how an earlier run encoded the columns, where this one adds to its statistics; None lets the
            data decide.
        update_from: the statistics that this run adds to, or None.
        dropped: keys of the files in these statistics that are no longer part of a table.
        removed: row groups of those files: their rows are summed by themselves, and taken away.

    """

    spec: JobSpec
    manifest: Manifest
    columns: Columns
    num_lanes: int
    choice: Choice
    run_dir: Location
    encoding: Encoding | None = None
    update_from: Location | None = None
    dropped: frozenset[str] = frozenset()
    removed: frozenset[int] = frozenset()

    @property
    def fingerprint(self) -> str:
        """A hash of what determines the result: the spec's say and the data's."""
        text = f"{spec_hash(self.spec)}:{self.manifest.digest}"
        if self.removed:
            text += f":{sorted(self.removed)}"
        slices = [group.span for group in self.manifest.row_groups if group.span is not None]
        if slices:  # sums that were written row group by row group are not continued slice by slice
            text += f":{slices}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def pending_statistics(self) -> Location:
        """Where the exact solver leaves its statistics; they count once the run has succeeded."""
        return self.run_dir / "statistics.pending.safetensors"

    @property
    def pending_covariance(self) -> Location:
        """Where the exact solver leaves the covariance of the coefficients, likewise."""
        return self.run_dir / "covariance.pending.safetensors"

    @property
    def pending_module(self) -> Location:
        """Where a module of the user's leaves its weights and scales; they become the model."""
        return self.run_dir / "module.pending.safetensors"

    @property
    def added(self) -> Manifest:
        """The files without those whose rows are taken away."""
        if not self.removed:
            return self.manifest
        return self.manifest.only({group.index for group in self.manifest.row_groups} - self.removed)

    @property
    def lanes(self) -> tuple[tuple[int, ...], ...]:
        """The row groups of each lane."""
        return deal_lanes(self.manifest, self.num_lanes)

    def lanes_of(self, rank: int, world_size: int) -> range:
        """Return the lanes that a worker owns."""
        return lanes_of_worker(self.num_lanes, rank, world_size)

    @property
    def solver(self) -> Solver:
        """The solver that was chosen."""
        return self.choice.solver

    @property
    def standardize(self) -> bool:
        """Whether the solver is to see features divided by their standard deviation."""
        return self.solver.standardize(self.spec)

    def settled(self, num_columns: int) -> TrainJob:
        """Return the job with its last choice of a solver, now that the encoded columns are counted."""
        return replace(self, choice=self.choice.settled(num_columns))
