"""linreg_dist on N Ray workers of one core each, every worker pinned to a core of its own."""

from __future__ import annotations

from functools import partial

from benchmarks.contender import Contender, Grid, Outcome
from benchmarks.contenders.ours import job, train
from benchmarks.pinning import PinnedWorkers
from benchmarks.problems import Dataset


def _run(dataset: Dataset, grid: Grid, *, num_workers: int) -> Outcome:
    spec = job(dataset, grid, scaling={"num_workers": num_workers, "resources_per_worker": {"CPU": 1}})
    return train(spec, grid, around=PinnedWorkers(num_workers))


CONTENDERS = tuple(
    Contender(
        f"ours_ray_{number}",
        f"linreg_dist, {number} Ray worker(s), each pinned to one core",
        partial(_run, num_workers=number),
        single_process=False,
    )
    for number in (1, 2, 4)
)
