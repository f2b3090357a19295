"""One worker among its peers: rank, device, threads, and the few things workers say to each other.

The same code runs in the calling process (``num_workers: 0``) and in Ray Train's workers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import pyarrow as pa
import torch
import torch.distributed as dist

from linreg_dist import limits, liveness
from linreg_dist.errors import LinregDistError, from_record, to_record

T = TypeVar("T")


@dataclass(frozen=True)
class Worker:
    """Where this process stands in the group.

    Attributes:
        rank: 0 … world_size-1; rank 0 writes the files.
        world_size: number of workers.
        device: where the arithmetic runs.
        num_threads: threads for decoding and arithmetic, this worker's share of its node's cores.
        group: what the workers talk over; None is torch's default group.

    """

    rank: int
    world_size: int
    device: torch.device
    num_threads: int
    group: dist.ProcessGroup | None = None

    def waiting(self) -> AbstractContextManager[None]:
        """Say for the time of a ``with`` block that this worker waits for the others."""
        return liveness.process.waiting("waiting for the other workers")

    def gather(self, item: T) -> list[T]:
        """Return every worker's ``item``, by rank. Every worker must call it."""
        if self.world_size == 1:
            return [item]
        gathered: list[Any] = [None] * self.world_size
        with self.waiting():
            dist.all_gather_object(gathered, item, group=self.group)
        return gathered

    def together(self, function: Callable[[], T]) -> list[T]:
        """Run ``function`` on every worker and return all results by rank.

        A data error on one worker is raised on all of them, so that none waits in a collective for a peer
        that has stopped.

        Raises:
            LinregDistError: the error of the lowest rank that had one.

        """
        error: dict[str, object] | None = None
        result: Any = None
        try:
            result = function()
        except LinregDistError as raised:
            error = to_record(raised)
        gathered = self.gather((result, error))
        for _, record in gathered:
            if record is not None:
                raise from_record(record)
        return [item for item, _ in gathered]

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the element-wise sum of ``values`` (float64) over all workers."""
        if self.world_size > 1:
            on_device = values.to(self.device)
            with self.waiting():
                dist.all_reduce(on_device, group=self.group)
                return on_device.cpu()
        return values


def join_group(patience_s: float, num_local_threads: int | None = None) -> Worker:
    """Describe this process as Ray Train sees it and give its libraries their share of the cores.

    Ray sets ``OMP_NUM_THREADS`` from the CPU share, which pyarrow also obeys; we run our own threads over row
    groups and slices, so each library call stays on the thread that makes it.

    Args:
        patience_s: how long one worker waits for the others in an exchange. Passes over much data end at
            different times, so it is long, and stuck workers are found by `watch`.
        num_local_threads: threads in local mode, default all cores this process may use.

    """
    import ray.train
    import ray.train.torch

    context = ray.train.get_context()
    world_size = context.get_world_size() or 1
    threads = limits.available_cpus()
    if world_size == 1 and num_local_threads is not None:
        threads = num_local_threads
    torch.set_num_threads(1)
    pa.set_cpu_count(threads)
    return Worker(
        rank=context.get_world_rank() or 0,
        world_size=world_size,
        device=ray.train.torch.get_device(),
        num_threads=threads,
        group=dist.new_group(timeout=timedelta(seconds=patience_s)) if world_size > 1 else None,
    )
