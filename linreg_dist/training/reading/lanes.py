"""One pass over the row groups, summed up lane by lane.

Lanes are merged in order, so every number is the same for any number of workers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol, Self, TypeVar

from linreg_dist.training.checkpoints.lane_keeper import LaneKeeper
from linreg_dist.training.job import TrainJob
from linreg_dist.training.metrics_log import MetricsLog
from linreg_dist.training.worker import Worker


class Mergeable(Protocol):
    """What a pass finds out about some rows; parts of disjoint rows merge into one of them all."""

    def merge(self, other: Self, /) -> None:
        """Add another part's rows to these."""


M = TypeVar("M", bound=Mergeable)


def collect_by_lane(
    worker: Worker,
    job: TrainJob,
    results: Callable[[list[int]], Iterable[M]],
    empty: Callable[[], M],
    log: MetricsLog,
    phase: str,
    keeper: LaneKeeper[M] | None = None,
    *,
    compiles: bool = False,
) -> list[M]:
    """Make one pass over the row groups and merge what it finds lane by lane.

    Args:
        worker, job, log: as in training; ``phase`` names the pass in the progress ticks.
        results: computes a part for each row group of a list, in order.
        empty: makes a part of no rows.
        keeper: keeps the parts of an interrupted pass; each lane goes on after what is kept.
        compiles: whether kernels have to be compiled first.

    Returns:
        One part per lane, the same on every worker, for any number of workers.

    Raises:
        LinregDistError: what a worker raised, on all of them.

    """
    lanes = job.lanes
    mine = list(job.lanes_of(worker.rank, worker.world_size))

    def work() -> dict[int, M]:
        by_lane, done = {lane: empty() for lane in mine}, dict.fromkeys(mine, 0)
        for lane in mine:
            restored = None if keeper is None else keeper.restore(lane)
            if restored is not None:
                by_lane[lane], done[lane] = restored
        order = [(lane, index) for lane in mine for index in lanes[lane][done[lane] :]]
        total = sum(job.manifest.row_groups[index].num_rows for _, index in order)
        log.enter("compile" if compiles else phase)
        started, rows = time.perf_counter(), 0
        for (lane, index), part in zip(order, results([index for _, index in order]), strict=True):
            by_lane[lane].merge(part)
            done[lane] += 1
            if keeper is not None:
                keeper.keep(lane, by_lane[lane], done[lane])
            rows += job.manifest.row_groups[index].num_rows
            if log.tick_due():
                elapsed = time.perf_counter() - started
                log.tick(
                    phase,
                    rows / total,
                    rows=rows * worker.world_size,
                    rows_per_s=rows * worker.world_size / elapsed,
                )
        return by_lane

    everyone = {lane: part for lanes_done in worker.together(work) for lane, part in lanes_done.items()}
    return [everyone[lane] for lane in sorted(everyone)]


def merge_lanes(parts: Iterable[M], into: M) -> M:
    """Merge the lanes' parts in order."""
    for part in parts:
        into.merge(part)
    return into
