"""Reading and the first epoch against a scan that keeps its rows: ``python -m benchmarks.first_epoch``.

Rounds are interleaved: the scan in a process a core, whose blocks stay there; the same on threads of one
process; and SGD from the first byte to the end of its first epoch, by the clock of the worker. Processor time
is taken beside wall time: on a machine that others use the ratios of processor time mean the most. Ours holds
all that the process spends, the start of the run and its results included.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.contenders.floor import scan
from benchmarks.problems import DATA_ROOT, PROBLEMS, TARGET, Dataset, materialise


@dataclass(frozen=True)
class Taken:
    """Wall and processor seconds."""

    wall_s: float
    cpu_s: float


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="*", default=["W32", "W8"], choices=list(PROBLEMS))
    parser.add_argument("--scale", type=float, default=1.0, help="rows, in row groups of the full size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8192, help="rows a step")
    parser.add_argument("--root", type=Path, default=DATA_ROOT)
    options = parser.parse_args()
    print("problem | contender | Mrow/s | to the first | CPU s | to the first")
    for name in options.problems:
        problem = PROBLEMS[name]
        dataset = materialise(replace(problem, num_rows=int(problem.num_rows * options.scale)), options.root)
        measure(dataset, options.rounds, options.batch)


def measure(dataset: Dataset, rounds: int, batch: int) -> None:
    """Print the lines of one data set."""
    contenders: dict[str, Callable[[Dataset], Taken]] = {
        "scan that keeps, processes": lambda dataset: _scanned(dataset, _processes),
        "scan that keeps, threads": lambda dataset: _scanned(dataset, ThreadPoolExecutor),
        "SGD to the end of its first epoch": lambda dataset: ours(dataset, batch),
    }
    for run in contenders.values():  # imports, the page cache, compiled kernels
        run(dataset)
    taken = [{name: run(dataset) for name, run in contenders.items()} for _ in range(rounds)]
    first = next(iter(contenders))
    for name in contenders:
        rate = statistics.median(dataset.problem.num_rows / one[name].wall_s / 1e6 for one in taken)
        cpu = statistics.median(one[name].cpu_s for one in taken)
        faster = statistics.median(one[first].wall_s / one[name].wall_s for one in taken)
        cheaper = statistics.median(one[first].cpu_s / one[name].cpu_s for one in taken)
        print(f"{dataset.problem.name} | {name} | {rate:.1f} | {faster:.2f} | {cpu:.2f} | {cheaper:.2f}")


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
        before = _cpu_s()
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
        cpu = _cpu_s() - before
        lines = (Path(storage) / "epoch" / "metrics.jsonl").read_text().splitlines()
        (epoch,) = [line for line in map(json.loads, lines) if "progress" not in line]
        return Taken(run.result["timing"]["read_s"] + epoch["seconds"], cpu)


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
