"""linreg_dist in the calling process (``num_workers: 0``): on one thread, on all, and with nothing set."""

from __future__ import annotations

from benchmarks.backed_memory import BackedMemory
from benchmarks.contender import Contender, Grid, Outcome
from benchmarks.contenders.ours import job, train
from benchmarks.problems import TARGET, Dataset


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    return train(job(dataset, grid), grid)


def _backed(dataset: Dataset, grid: Grid) -> Outcome:
    problem = dataset.problem
    blocks = problem.num_rows * (problem.num_features + 1) * 4
    return train(job(dataset, grid), grid, around=BackedMemory(blocks * 5 // 4))


def _defaults(dataset: Dataset, grid: Grid) -> Outcome:
    spec = {"version": 1, "name": "benchmark", "data": {"path": str(dataset.parts), "target": TARGET}}
    outcome = train(spec, grid)
    solver = outcome.extra["solver"]
    note = f"default settings: solver {solver['name']}, a fifth of the rows held out to validate"
    return Outcome(
        outcome.started,
        outcome.finished,
        outcome.passes,
        outcome.coef,
        outcome.intercept,
        note=note,
        extra=outcome.extra,
    )


CONTENDERS = (
    Contender("ours_1_thread", "linreg_dist, num_workers 0, pinned to one core", _run, num_cpus=1),
    Contender("ours_all_threads", "linreg_dist, num_workers 0, all cores", _run),
    Contender("ours_backed_memory", "the same, in memory that the hypervisor has already backed", _backed),
    Contender("ours_defaults", "linreg_dist with only data.path and data.target set", _defaults),
)
