"""How long gloo takes to sum a vector over processes: latency and bandwidth without any training."""

from __future__ import annotations

import multiprocessing
import os
import socket
import time
from collections.abc import Sequence
from statistics import median
from typing import Any

_WARM_UP, _REPEAT = 20, 200


def measure_allreduce(num_ranks: int, sizes_bytes: Sequence[int]) -> dict[int, float]:
    """Return median seconds of one all-reduce for each message size.

    Raises:
        RuntimeError: a rank died.
    """
    context = multiprocessing.get_context("spawn")
    queue = context.SimpleQueue()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    ranks = [
        context.Process(target=_rank, args=(rank, num_ranks, port, tuple(sizes_bytes), queue))
        for rank in range(num_ranks)
    ]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    if any(process.exitcode for process in ranks):
        codes = [process.exitcode for process in ranks]
        raise RuntimeError(f"all-reduce ranks ended with exit codes {codes}")
    measured: dict[int, float] = queue.get()
    return measured


def _rank(rank: int, num_ranks: int, port: int, sizes_bytes: tuple[int, ...], queue: Any) -> None:
    import torch
    import torch.distributed as dist

    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[rank % len(cores)]})
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=num_ranks)
    seconds = {}
    for size in sizes_bytes:
        vector = torch.zeros(max(1, size // 8), dtype=torch.float64)
        times = []
        for _ in range(_WARM_UP + _REPEAT):
            began = time.perf_counter()
            dist.all_reduce(vector)
            times.append(time.perf_counter() - began)
        seconds[size] = median(times[_WARM_UP:])
    dist.destroy_process_group()
    if rank == 0:
        queue.put(seconds)
