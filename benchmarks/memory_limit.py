"""A pass of L-BFGS over rows in memory against what memory gives: ``python -m benchmarks.memory_limit``.

The limit is the rate at which all threads together read the same blocks when they only look at each number
(the bitwise or of 64-bit words). Rounds are interleaved.
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
    print("problem | loss | L-BFGS pass, GB/s | reading alone, GB/s | share")
    for name in options.problems:
        dataset = materialise(replace(PROBLEMS[name], num_rows=options.rows), options.root)
        for loss in ("squared", "huber"):
            ours, limit, share = measure(dataset, loss, options.rounds)
            print(f"{name} | {loss} | {ours:.1f} | {limit:.1f} | {share:.2f}", flush=True)


def measure(dataset: Dataset, loss: str, rounds: int) -> tuple[float, float, float]:
    """Return both rates in GB/s and the median of their quotients."""
    import linreg_dist as lr
    from linreg_dist.solvers.lbfgs.objective import Objective
    from linreg_dist.training.training import Training

    taken: list[tuple[float, float]] = []
    evaluate = Objective._measure

    def timed(objective: Any) -> Any:
        training: Training = objective._training
        blocks = [training.data.store.load(index) for index in training.my_row_groups]
        if len(taken) < rounds + 1:
            reading = read_all(blocks)
            started = time.perf_counter()
            point = evaluate(objective)
            seconds = time.perf_counter() - started
            num_bytes = sum(block.nbytes for block in blocks)
            taken.append((num_bytes / seconds / 1e9, num_bytes / reading / 1e9))
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
    columns = list(zip(*taken, strict=True))
    return (
        statistics.median(columns[0]),
        statistics.median(columns[1]),
        statistics.median(ours / limit for ours, limit in taken),
    )


def read_all(blocks: list[Any]) -> float:
    """Return the seconds that all threads together take to read blocks, the better of two."""
    cores = len(os.sched_getaffinity(0))
    arrays = [array for block in blocks for array in (block.x_ND.T, block.y_NK.T)]
    words = [array.reshape(-1)[: array.size // 2 * 2].view(np.int64) for array in arrays]
    seconds = []
    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(len, words))
        for _ in range(2):
            started = time.perf_counter()
            list(pool.map(np.bitwise_or.reduce, words))
            seconds.append(time.perf_counter() - started)
    return min(seconds)


if __name__ == "__main__":
    main()
