"""`Lbfgs`: L-BFGS as the rest of the program sees it."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from linreg_dist.jobspec.checks import Conflict
from linreg_dist.solvers.base import Solver

if TYPE_CHECKING:
    import numpy as np

    from linreg_dist.jobspec import JobSpec
    from linreg_dist.training.fit import Fit
    from linreg_dist.training.job import TrainJob
    from linreg_dist.training.training import Training


class Lbfgs(Solver):
    """Full-batch L-BFGS with a line search; for smooth objectives."""

    name = "lbfgs"

    def refuses(self, spec: JobSpec) -> Iterator[Conflict]:
        """Yield also that l1 has no gradient."""
        if spec.model.l1 > 0.0:
            yield Conflict(
                ("solver", "name"),
                f"lbfgs needs a smooth objective, and model.l1 is {spec.model.l1:g}; use exact (squared "
                "loss), sgd (which gives exact zeros too), or model.l2 instead",
                (("solver", "name"), ("model", "l1")),
            )
        yield from super().refuses(spec)

    def block_dtype(self, job: TrainJob) -> type[np.floating[Any]]:
        """Return the type in which the digits of the files survive."""
        from linreg_dist.solvers.precision import dtype_of_files

        return dtype_of_files(job)

    def passes(self, spec: JobSpec) -> Iterator[tuple[str, float]]:
        """Yield what a fit usually takes: some thirty evaluations, few of which read a file again."""
        yield "read", 1.0
        yield "train", 8.0 if spec.model.loss == "huber" else 4.0
        yield "metrics", 0.3

    def load(self, job: TrainJob) -> None:
        """Import torch and its compiler, which torch.optim.LBFGS imports when it is made.

        It takes more than a second. A worker does it before its clock starts, as it loaded everything else;
        this process, which has its other libraries, while it reads.
        """
        importlib.import_module("torch")
        if job.spec.scaling.max_workers > 1:
            importlib.import_module("torch._dynamo")
        else:
            threading.Thread(target=importlib.import_module, args=("torch._dynamo",), daemon=True).start()

    def fit(self, training: Training) -> Fit:
        """Minimise the objective."""
        from linreg_dist.solvers.lbfgs.descent import fit_lbfgs

        return fit_lbfgs(training)
