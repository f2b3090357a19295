"""Reading and the first epoch against a scan that keeps its rows: ``python -m benchmarks.first_epoch``.

Rounds are interleaved: the scan in a process a core, whose blocks stay there; the same on threads of one
process; and SGD from the first byte to the end of its first epoch, by the clock of the worker. Processor time
is taken beside wall time: on a machine that others use the ratios of processor time mean the most. Ours holds
all that the process spends, the start of the run and its results included.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.contenders.floor import scan
from benchmarks.interleaved import Taken, compare, cpu_seconds, datasets, parser_of
from benchmarks.problems import TARGET, Dataset


def main() -> None:
    """Print a table."""
    parser = parser_of(__doc__)
    parser.add_argument("--batch", type=int, default=8192, help="rows a step")
    options = parser.parse_args()
    print("problem | contender | Mrow/s | to the first | CPU ms | to the first")
    contenders: dict[str, Callable[[Dataset], Taken]] = {
        "scan that keeps, processes": lambda dataset: _scanned(dataset, _processes),
        "scan that keeps, threads": lambda dataset: _scanned(dataset, ThreadPoolExecutor),
        "SGD to the end of its first epoch": lambda dataset: ours(dataset, options.batch),
    }
    for dataset in datasets(options):
        compare(dataset, contenders, options.rounds)


def _processes(cores: int) -> Executor:
    return ProcessPoolExecutor(cores, mp_context=multiprocessing.get_context("spawn"))


def _scanned(dataset: Dataset, pool_of: Callable[[int], Executor]) -> Taken:
    cores = len(os.sched_getaffinity(0))
    with pool_of(cores) as pool:
        list(pool.map(_keep, [[]] * cores))
        started = time.perf_counter()
        shares = [dataset.files[number::cores] for number in range(cores)]
        cpu = sum(pool.map(_keep, shares))
        return Taken(time.perf_counter() - started, cpu)


def _keep(files: list[Path]) -> float:
    """Keep the blocks of some files until they are all there, and return this thread's processor time."""
    started, kept = time.thread_time(), list[Any]()
    scan(files, kept)
    return time.thread_time() - started


def ours(dataset: Dataset, batch: int) -> Taken:
    """Train one epoch."""
    import linreg_dist as lr

    with tempfile.TemporaryDirectory() as storage:
        before = cpu_seconds()
        run = lr.train(
            {
                "version": 1,
                "name": "epoch",
                "data": {"path": str(dataset.parts), "target": TARGET, "validation": {"method": "none"}},
                "solver": {"name": "sgd", "epochs": 1, "learning_rate": 0.01, "global_batch_size": batch},
                "run": {"storage_path": storage},
                "outputs": {"report": False},
            }
        )
        cpu = cpu_seconds() - before
        lines = (Path(storage) / "epoch" / "metrics.jsonl").read_text().splitlines()
        (epoch,) = [line for line in map(json.loads, lines) if "progress" not in line]
        return Taken(run.result["timing"]["read_s"] + epoch["seconds"], cpu)


if __name__ == "__main__":
    main()
