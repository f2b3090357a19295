"""linreg_dist's exact solver: one pass over the rows, no learning rate, the optimum itself."""

from __future__ import annotations

from benchmarks.contender import Contender, Grid, Outcome
from benchmarks.contenders.ours import job, train
from benchmarks.problems import Dataset


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    return train(job(dataset, grid, solver={"name": "exact"}), grid)


CONTENDERS = (Contender("ours_exact", "linreg_dist, exact solver, num_workers 0, all cores", _run),)
