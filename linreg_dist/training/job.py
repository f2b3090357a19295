"""What a worker is told: everything that was decided before it started."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from linreg_dist.data.columns import Columns
from linreg_dist.data.encoding import Encoding
from linreg_dist.data.manifest import Manifest
from linreg_dist.data.plan import deal_lanes, lanes_of_worker
from linreg_dist.spec import JobSpec, spec_hash


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
    run_dir: Path
    encoding: Encoding | None = None
    update_from: Path | None = None

    @property
    def fingerprint(self) -> str:
        """A hash of what determines the result: the spec's say and the data's."""
        return hashlib.sha256(f"{spec_hash(self.spec)}:{self.manifest.digest}".encode()).hexdigest()

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
        choice = self.spec.model.standardize
        if choice == "auto":
            model = self.spec.model
            penalised = model.l1 > 0 or model.l2 > 0 or self.spec.tune is not None
            return penalised or self.solver != "exact"
        return choice
