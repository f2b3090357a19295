"""Run a grid round by round, each contender once a round: a slow minute of the machine falls on all alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

from benchmarks.contender import Grid
from benchmarks.contenders import CONTENDERS
from benchmarks.isolate import Record, run_isolated
from benchmarks.problems import DATA_ROOT, PROBLEMS, Dataset, materialise


def run_grid(
    grid: Grid, raw: Path, *, root: Path = DATA_ROOT, say: Callable[[str], None] = print
) -> list[Record]:
    """Run everything and append each record to ``raw`` as it comes, so that an interrupted run is not lost.

    A contender that is not available, or failed, is not tried again in later rounds.
    """
    raw.parent.mkdir(parents=True, exist_ok=True)
    datasets = {}
    for name in grid.problems:
        problem = PROBLEMS[name].scaled(grid.scale)
        say(f"data set {name}: {problem.num_rows:,} rows x {problem.num_features} features")
        datasets[name] = materialise(problem, root)
    records: list[Record] = []
    given_up: set[tuple[str, str]] = set()
    with raw.open("a") as file:
        for round_number, problem_name, contender_name in _interleaved(grid):
            if (problem_name, contender_name) in given_up:
                continue
            _warm(datasets[problem_name])
            record = run_isolated(CONTENDERS[contender_name], datasets[problem_name], grid, round_number)
            if record.status != "ok":
                given_up.add((problem_name, contender_name))
            records.append(record)
            file.write(json.dumps(asdict(record)) + "\n")
            file.flush()
            say(describe(record))
    return records


def describe(record: Record) -> str:
    """Return one line about one run."""
    head = f"round {record.round}  {record.problem:8} {record.contender:20}"
    if record.status != "ok":
        return f"{head} {record.status}: {record.reason}"
    rate = record.rows_per_s
    speed = f"{rate / 1e6:9.3f} Mrow/s" if rate else " " * 16
    gap = f"  gap {record.gap:.2e}" if record.gap is not None else ""
    return (
        f"{head} start-up {record.startup_s:6.2f} s  train {record.train_s:7.2f} s  "
        f"teardown {record.teardown_s:5.2f} s  {speed}{gap}"
    )


def load_records(raw: Path) -> list[Record]:
    """Read back what `run_grid` wrote."""
    return [Record(**json.loads(line)) for line in raw.read_text().splitlines()]


def _interleaved(grid: Grid) -> Iterator[tuple[int, str, str]]:
    for round_number in range(grid.rounds):
        for problem in grid.problems:
            # Another one begins each round: nobody always follows the same neighbour.
            turn = round_number % max(1, len(grid.contenders))
            for contender in (*grid.contenders[turn:], *grid.contenders[:turn]):
                yield round_number, problem, contender


def _warm(dataset: Dataset) -> None:
    """Bring the files into the page cache: what is compared is decoding and learning, not the disk."""
    for path in dataset.files:
        with path.open("rb", buffering=0) as file:
            while file.read(1 << 24):
                continue
