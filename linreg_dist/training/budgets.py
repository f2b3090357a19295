"""Budgets for decoded data that a worker keeps, in memory and on its disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from linreg_dist import limits
from linreg_dist.training.job import TrainJob
from linreg_dist.training.worker import Worker

_SMALL_DATA_BYTES = 256 << 20


def memory_budget(job: TrainJob, worker: Worker, row_nbytes: int) -> int:
    """Return the bytes this worker may keep: the spec's, or a share of half of what it can still take.

    A solver that reads its rows once keeps small data alone, so that this gets a mean absolute error,
    which takes a second look; for large data the memory by itself would cost about as much as the reading.
    """
    chosen = job.spec.scaling.memory_budget_bytes
    if chosen is not None:
        return chosen
    if not job.solver.reads_again(job):
        # A part of the blocks would be of no use: the second look is taken if every block is there.
        all_blocks = job.manifest.num_rows * row_nbytes // worker.world_size
        return _SMALL_DATA_BYTES if all_blocks <= _SMALL_DATA_BYTES else 0
    share = min(1.0, worker.num_threads / limits.machine_cpus()) if worker.world_size > 1 else 1.0
    return int(limits.available_memory().free * 0.5 * share)


def disk_budget(job: TrainJob, folder: Path) -> int:
    """Return the bytes that all workers of a node may keep on its disk: the spec's, or half of what is free.

    A solver that reads its rows once writes none by itself.
    """
    chosen = job.spec.scaling.disk_budget_bytes
    if chosen is not None:
        return chosen
    if not job.solver.reads_again(job):
        return 0
    return shutil.disk_usage(next(path for path in folder.parents if path.exists())).free // 2
