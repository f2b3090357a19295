"""One worker among its peers: rank, device, threads, and the few things workers say to each other.

The same code runs in the calling process (``num_workers: 0``) and in Ray Train's workers. torch is loaded
where workers talk to each other, and by the solvers that need it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist import limits, liveness
from linreg_dist.errors import LinregDistError, from_record, to_record
from linreg_dist.training.rows.gpus import Gpus

T = TypeVar("T")


@dataclass
class WaitClock:
    """Seconds that a worker has spent waiting for the others, and exchanging with them."""

    seconds: float = 0.0


@dataclass(frozen=True)
class Worker:
    """The position of this process in the group.

    Attributes:
        rank: 0 … world_size-1; rank 0 writes the files.
        world_size: number of workers.
        device: where the arithmetic runs, as torch names it: cpu, cuda, cuda:1.
        num_threads: threads for decoding and arithmetic, this worker's share of its node's cores.
        group: what the workers talk over; None is torch's default group.
        waited: for how long it has waited for the others.
        gpus: of this machine, where one of them is the device; None where the cores are.

    """

    rank: int
    world_size: int
    device: str
    num_threads: int
    group: Any = None
    waited: WaitClock = field(default_factory=WaitClock, compare=False)
    gpus: Gpus | None = None

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Say for the time of a ``with`` block that this worker waits for the others, and count it."""
        began = time.perf_counter()
        try:
            with liveness.process.waiting("waiting for the other workers"):
                yield
        finally:
            self.waited.seconds += time.perf_counter() - began

    def gather(self, item: T) -> list[T]:
        """Return every worker's ``item``, by rank. Every worker must call it."""
        if self.world_size == 1:
            return [item]
        import torch.distributed as dist

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

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the element-wise sum of ``values`` over all workers. Every worker must call it."""
        if self.world_size == 1:
            return values
        import torch
        import torch.distributed as dist

        on_device = torch.from_numpy(values.copy()).to(self.device)
        with self.waiting():
            dist.all_reduce(on_device, group=self.group)
            total: npt.NDArray[np.float64] = on_device.cpu().numpy()
            return total


def alone(*, use_gpu: bool) -> Worker:
    """Return this process as the one worker of a job, with all cores that it may use."""
    threads = limits.available_cpus()
    keep_torch_to_one_thread()
    pa.set_cpu_count(threads)
    worker = Worker(rank=0, world_size=1, device="cpu", num_threads=threads)
    return on_gpu(worker, Gpus.here()) if use_gpu else worker


def on_gpu(worker: Worker, gpus: Gpus) -> Worker:
    """Return the worker with the first GPU of its machine as its device."""
    return replace(worker, device=gpus.device, gpus=gpus)


torch_threads_found: int | None = None
"""Threads that torch had in this process before `keep_torch_to_one_thread`, where it was loaded."""


def keep_torch_to_one_thread() -> None:
    """Keep each operation of torch's on the thread that makes it, where torch is loaded."""
    global torch_threads_found
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() > 1:
        torch_threads_found = torch.get_num_threads()
        torch.set_num_threads(1)


def join_group(patience_s: float) -> Worker:
    """Describe this process as Ray Train sees it and give its libraries their share of the cores.

    Ray sets ``OMP_NUM_THREADS`` from the CPU share, which pyarrow also obeys; we run our own threads over row
    groups and slices, so each library call stays on the thread that makes it.

    Args:
        patience_s: how long one worker waits for the others in an exchange. Passes over much data end at
            different times, so it is long, and stuck workers are found by `watch`.

    """
    import ray.train
    import ray.train.torch
    import torch.distributed as dist

    context = ray.train.get_context()
    world_size = context.get_world_size() or 1
    threads = limits.available_cpus()
    keep_torch_to_one_thread()
    pa.set_cpu_count(threads)
    device = str(ray.train.torch.get_device())
    return Worker(
        rank=context.get_world_rank() or 0,
        world_size=world_size,
        device=device,
        gpus=None if device == "cpu" else Gpus.here(),
        num_threads=threads,
        group=dist.new_group(timeout=timedelta(seconds=patience_s)) if world_size > 1 else None,
    )
