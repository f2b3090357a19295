"""The limit: read every row group into a column-major block and do nothing with it.

Learning should hide behind this in the first pass. Once with a process per core and once with a thread per
core.
"""

from __future__ import annotations

import importlib
import multiprocessing
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.contender import Contender, Grid, Outcome, Pass
from benchmarks.problems import Dataset


def scan(files: Sequence[Path], kept: list[Any] | None = None) -> int:
    """Decode every row group into a column-major matrix, one at a time on this thread; return the rows.

    Args:
        files: to read.
        kept: keeps the matrices, as a first pass does whose blocks later passes use; None lets go of them.
    """
    import pyarrow.parquet as pq

    rows = 0
    for file in files:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            for ordinal in range(parquet.num_row_groups):
                for batch in parquet.read_row_group(ordinal, use_threads=False).to_batches():
                    block = batch.to_tensor(row_major=False)
                    rows += block.shape[0]
                    if kept is not None:
                        kept.append(block)
    return rows


def _up(barrier: Any) -> None:
    """Start a worker: import what it needs and wait for the others, so that the clock finds all ready."""
    importlib.import_module("pyarrow.parquet")

    barrier.wait()


def _scan_with(
    pool: Executor, workers: int, dataset: Dataset, grid: Grid, kept: list[Any] | None = None
) -> Outcome:
    shares = [dataset.files[number::workers] for number in range(workers)]
    list(pool.map(scan, [[] for _ in range(workers)]))  # returns when every worker is up
    started = time.time()
    passes = []
    for _ in range(grid.epochs):
        if kept is not None:
            kept.clear()
        began = time.perf_counter()
        rows = sum(pool.map(partial(scan, kept=kept), shares))
        passes.append(Pass(rows, time.perf_counter() - began))
    return Outcome(started, time.time(), passes)


def _with_processes(dataset: Dataset, grid: Grid) -> Outcome:
    workers = len(os.sched_getaffinity(0))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(workers)
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_up, initargs=(barrier,)) as pool:
        return _scan_with(pool, workers, dataset, grid)


def _with_threads(dataset: Dataset, grid: Grid) -> Outcome:
    workers = len(os.sched_getaffinity(0))
    barrier = threading.Barrier(workers)
    with ThreadPoolExecutor(workers, initializer=_up, initargs=(barrier,)) as pool:
        return _scan_with(pool, workers, dataset, grid)


def _keeping(dataset: Dataset, grid: Grid) -> Outcome:
    workers = len(os.sched_getaffinity(0))
    barrier = threading.Barrier(workers)
    kept: list[Any] = []
    with ThreadPoolExecutor(workers, initializer=_up, initargs=(barrier,)) as pool:
        return _scan_with(pool, workers, dataset, grid, kept)


CONTENDERS = (
    Contender(
        "floor_processes",
        "bare pyarrow scan into column-major blocks, a process per core; learns nothing",
        _with_processes,
        single_process=False,
    ),
    Contender("floor_threads", "the same with a thread per core", _with_threads),
    Contender("floor_keeping", "the same, and every block stays in memory", _keeping),
    Contender("floor_1_core", "the same on one core", _with_threads, num_cpus=1),
)
