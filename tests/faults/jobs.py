"""The jobs that are disturbed: small data, but seconds of training, with a checkpoint every 0.2 s."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.parts import write_parts

SOLVERS = ("exact", "sgd", "adam", "lbfgs")
CHECKPOINT_EVERY_S = 0.2

# Of every coefficient, relatively, against an undisturbed run on another number of workers, which adds the
# same rows up in another order. On the same number the bits must be the same.
OTHER_WORKERS_RTOL = {"exact": 1e-12, "sgd": 1e-5, "adam": 1e-5, "lbfgs": 1e-5}

_SECTIONS: dict[str, dict[str, Any]] = {
    "exact": {},
    "sgd": {"solver": {"epochs": 40, "global_batch_size": 500, "early_stop": None}},
    "adam": {"solver": {"epochs": 40, "global_batch_size": 500, "early_stop": None}},
    "lbfgs": {"model": {"loss": "huber"}, "solver": {"epochs": 40}},
}


@dataclass(frozen=True)
class Job:
    """A spec file and where its run will lie.

    Attributes:
        name: of the run.
        solver: one of `SOLVERS`.
        file: the spec.
        run: the run's folder.

    """

    name: str
    solver: str
    file: Path
    run: Path

    def command(self, workers: int, address: str | None) -> list[str]:
        """Return the command line that trains it, the same for every attempt."""
        where = ["--address", address] if address and workers else []
        return [
            *(sys.executable, "-m", "linreg_dist", "train", str(self.file), "--quiet", "--json"),
            *("--set", f"scaling.num_workers={workers}"),
            *where,
        ]

    @property
    def checkpoints(self) -> Path:
        return self.run / "checkpoints"


def write_data(folder: Path) -> None:
    """Write 20,000 rows in 20 row groups for the iterative solvers, and 24,000 in 3,000 for one long pass."""
    write_parts(folder / "few", [5000] * 4, num_features=4, row_group_size=1000)
    write_parts(folder / "many", [6000] * 4, num_features=4, row_group_size=8)


def write_job(folder: Path, solver: str, name: str) -> Job:
    """Write the spec of a job on the data that `write_data` wrote into ``folder``."""
    sections = _SECTIONS[solver]
    spec = {
        "name": name,
        "data": {"path": str(folder / ("many" if solver == "exact" else "few")), "target": "y"},
        **sections,
        "model": {"l2": 0.001, **sections.get("model", {})},
        "solver": {"name": solver, **sections.get("solver", {})},
        "run": {"storage_path": str(folder / "runs"), "checkpoint_every_s": CHECKPOINT_EVERY_S},
    }
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(spec))
    return Job(name, solver, file, folder / "runs" / name)
