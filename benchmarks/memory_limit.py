"""A pass of L-BFGS over rows in memory against what memory gives: ``python -m benchmarks.memory_limit``.

The limit is the rate at which all threads together read the same blocks when they only look at each number
(the bitwise or of 64-bit words). Rounds are interleaved. The share is given by wall time and by processor
time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.problems import DATA_ROOT, PROBLEMS, TARGET, Dataset, materialise


def main() -> None:
    """Print a line for each data set."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="*", default=["W32", "W8"], choices=list(PROBLEMS))
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--root", type=Path, default=DATA_ROOT)
    options = parser.parse_args()
    print("problem | loss | L-BFGS pass, GB/s | reading alone, GB/s | share | by processor time")
    for name in options.problems:
        dataset = materialise(replace(PROBLEMS[name], num_rows=options.rows), options.root)
        for loss in ("squared", "huber"):
            ours, limit, share, cheap = measure(dataset, loss, options.rounds)
            print(f"{name} | {loss} | {ours:.1f} | {limit:.1f} | {share:.2f} | {cheap:.2f}", flush=True)


def measure(dataset: Dataset, loss: str, rounds: int) -> tuple[float, float, float, float]:
    """Return both rates in GB/s, and the medians of the quotients of wall and of processor times."""
    import linreg_dist as lr
    from linreg_dist.solvers.lbfgs.objective import Objective
    from linreg_dist.training.training import Training

    taken: list[tuple[float, float, float, float]] = []
    evaluate = Objective._measure

    def timed(objective: Any) -> Any:
        training: Training = objective._training
        blocks = [training.data.store.load(index) for index in training.my_row_groups]
        if len(taken) < rounds + 1:
            reading, reading_cpu = read_all(blocks)
            started, before = time.perf_counter(), time.process_time()
            point = evaluate(objective)
            seconds, cpu = time.perf_counter() - started, time.process_time() - before
            gigabytes = sum(block.nbytes for block in blocks) / 1e9
            taken.append((gigabytes / seconds, gigabytes / reading, reading / seconds, reading_cpu / cpu))
            return point
        return evaluate(objective)

    Objective._measure = timed  # type: ignore[method-assign]
    try:
        with tempfile.TemporaryDirectory() as storage:
            lr.train(
                {
                    "version": 1,
                    "name": "pass",
                    "data": {"path": str(dataset.parts), "target": TARGET, "validation": {"method": "none"}},
                    "model": {"loss": loss},
                    "solver": {"name": "lbfgs", "epochs": 4},
                    "run": {"storage_path": storage},
                    "outputs": {"report": False},
                }
            )
    finally:
        Objective._measure = evaluate  # type: ignore[method-assign]
    taken = taken[1:]  # the first one loads and compiles
    ours, limit, share, cheap = (statistics.median(values) for values in zip(*taken, strict=True))
    return ours, limit, share, cheap


def read_all(blocks: list[Any]) -> tuple[float, float]:
    """Return wall and processor seconds that all threads together take to read blocks, the least of two."""
    cores = len(os.sched_getaffinity(0))
    arrays = [array for block in blocks for array in (block.x_ND.T, block.y_NK.T)]
    words = [array.reshape(-1)[: array.size // 2 * 2].view(np.int64) for array in arrays]
    seconds = []
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(len, words))
        for _ in range(2):
            started, before = time.perf_counter(), time.process_time()
            list(pool.map(np.bitwise_or.reduce, words))
            seconds.append((time.perf_counter() - started, time.process_time() - before))
    wall, cpu = zip(*seconds, strict=True)
    return min(wall), min(cpu)


if __name__ == "__main__":
    main()
