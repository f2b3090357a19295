"""Contenders that take turns: wall and processor seconds of each, and their ratios to the first."""

from __future__ import annotations

import argparse
import resource
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.problems import DATA_ROOT, PROBLEMS, Dataset, materialise


@dataclass(frozen=True)
class Taken:
    """Wall and processor seconds."""

    wall_s: float
    cpu_s: float


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Return the options that every comparison has: problems, their scale, rounds and where the data are."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--problems", nargs="*", default=["W32", "W8"], choices=list(PROBLEMS))
    parser.add_argument("--scale", type=float, default=1.0, help="rows, in row groups of the full size")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--root", type=Path, default=DATA_ROOT)
    return parser


def datasets(options: argparse.Namespace) -> Iterator[Dataset]:
    """Yield the data of the problems asked for, written where they are not there yet."""
    for name in options.problems:
        problem = PROBLEMS[name]
        yield materialise(replace(problem, num_rows=int(problem.num_rows * options.scale)), options.root)


def compare(
    dataset: Dataset, contenders: Mapping[str, Callable[[Dataset], Taken]], rounds: int, *, parts: int = 1
) -> None:
    """Print a line for each contender, medians over the rounds: million rows a second by the wall and by how
    much that is faster than the first, processor milliseconds of each of ``parts`` and by how much cheaper.
    """
    for run in contenders.values():  # imports, the page cache, compiled kernels
        run(dataset)
    taken = [{name: run(dataset) for name, run in contenders.items()} for _ in range(rounds)]
    first = next(iter(contenders))
    for name in contenders:
        rate = statistics.median(dataset.problem.num_rows / one[name].wall_s / 1e6 for one in taken)
        cpu = statistics.median(one[name].cpu_s / parts * 1e3 for one in taken)
        faster = statistics.median(one[first].wall_s / one[name].wall_s for one in taken)
        cheaper = statistics.median(one[first].cpu_s / one[name].cpu_s for one in taken)
        print(f"{dataset.problem.name} | {name} | {rate:.1f} | {faster:.2f} | {cpu:.1f} | {cheaper:.2f}")


def cpu_seconds() -> float:
    """Return the processor seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
