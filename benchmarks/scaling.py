"""How cost grows with rows, columns, workers and steps: measured here, fitted, checked, and drawn further.

A star rather than a full grid: from one base size each axis is varied for one and for two workers, so that a
run takes minutes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.allreduce import measure_allreduce
from benchmarks.contender import Grid
from benchmarks.contenders import CONTENDERS
from benchmarks.cost_model import CostModel, Measured, Work, fit_cost_model
from benchmarks.isolate import Record, run_isolated
from benchmarks.machine import describe_machine
from benchmarks.problems import DATA_ROOT, Problem, materialise
from benchmarks.scaling_report import draw, render

_FOLDER = Path(__file__).parent
_ALLREDUCE_BYTES = (64, 512, 4_096, 65_536, 1 << 20, 4 << 20)
_BASE_FEATURES = 32
_BASE_STEPS = 64


@dataclass(frozen=True)
class Point:
    """One size to measure."""

    rows: int
    features: int
    workers: int
    steps: int = _BASE_STEPS
    held_back: bool = False

    @property
    def label(self) -> str:
        """How the tables call it."""
        return f"{self.rows:,} x {self.features}, {self.workers} worker(s), {self.steps} steps"


def points(base_rows: int) -> list[Point]:
    """Return the star: rows 1x, 4x, 16x; columns 8 … 512; workers 1, 2 and an oversubscribed 4; steps."""
    star = []
    for workers in (1, 2):
        star += [
            Point(base_rows * factor, _BASE_FEATURES, workers, held_back=factor == 16 and workers == 2)
            for factor in (1, 4, 16)
        ]
        star += [Point(base_rows, features, workers) for features in (8, 128, 512)]
        star += [Point(base_rows, _BASE_FEATURES, workers, steps=steps) for steps in (512, 2_048)]
    return [*star, Point(4 * base_rows, _BASE_FEATURES, 4)]


def measure_and_write(
    base_rows: int,
    rounds: int,
    *,
    folder: Path = _FOLDER,
    root: Path = DATA_ROOT,
    say: Callable[[str], None] = print,
    only: Sequence[Point] | None = None,
) -> list[Path]:
    """Measure, fit, and write ``scaling.json``, ``scaling.md`` and ``scaling.png``; return their paths.

    Args:
        base_rows: the 1x of rows.
        rounds: every point is measured this often, interleaved; medians count.
        folder, root: where results and data go.
        say: told about progress.
        only: other points than the star's.
    """
    cores = len(os.sched_getaffinity(0))
    star = list(points(base_rows) if only is None else only)
    records: dict[Point, list[Record]] = {point: [] for point in star}
    for round_number in range(rounds):
        for point in star:
            record = run_point(point, round_number, root)
            records[point].append(record)
            say(f"round {round_number}  {point.label}: {record.status} {record.reason}")
    measured = [item for point, runs in records.items() for item in as_measured(point, runs, cores)]
    for ranks in (2, 4):
        say(f"all-reduce over {ranks} processes")
        for size, seconds in measure_allreduce(ranks, _ALLREDUCE_BYTES).items():
            work = Work(0, 0, ranks, 1, reads=False, cores=cores, payload_bytes=size)
            measured.append(
                Measured(work, seconds, f"all-reduce of {size:,} bytes, {ranks} ranks", fitted=ranks <= cores)
            )
    return write(measured, fit_cost_model(measured), folder)


def run_point(point: Point, round_number: int, root: Path) -> Record:
    """Measure one size: our Ray workers, each pinned to one core, two passes of a fixed number of steps."""
    # The row groups of every size are alike, so that only what is varied varies; the data are the same for
    # all worker counts.
    problem = Problem(
        f"S{point.features}",
        point.rows,
        point.features,
        row_group_rows=max(1_000, min(125_000, point.rows // 32)),
    )
    grid = Grid(
        "scaling",
        problems=(),
        contenders=(),
        epochs=3,
        overrides={"solver.global_batch_size": max(1, point.rows // point.steps)},
    )
    return run_isolated(
        CONTENDERS[f"ours_ray_{point.workers}"], materialise(problem, root), grid, round_number
    )


def as_measured(point: Point, runs: Sequence[Record], cores: int) -> Iterator[Measured]:
    """Turn the runs of a point into its first pass and a later one, by medians.

    Raises:
        RuntimeError: a run failed.
    """
    failed = [run.reason for run in runs if run.status != "ok"]
    if failed:
        raise RuntimeError(f"{point.label} could not be measured: {failed[0]}")
    steps = int(runs[0].extra["solver"]["steps_per_epoch"])
    work = Work(point.rows, point.features, point.workers, steps, reads=True, cores=cores)
    fitted = not point.held_back and point.workers <= cores
    first = median(run.passes[0][1] for run in runs)
    later = median(seconds for run in runs for _, seconds in run.passes[1:])
    yield Measured(work, first, f"{point.label}, first pass", fitted)
    yield Measured(replace(work, reads=False), later, f"{point.label}, later pass", fitted)


def write(measured: Sequence[Measured], model: CostModel, folder: Path) -> list[Path]:
    """Write the JSON, the picture and the text."""
    machine = describe_machine()
    paths = [folder / f"scaling{suffix}" for suffix in (".json", ".png", ".md")]
    document = {
        "machine": machine,
        "coefficients": model.coefficients,
        "points": [asdict(point) for point in measured],
    }
    paths[0].write_text(json.dumps(document, indent=1) + "\n")
    draw(model, measured, paths[1])
    paths[2].write_text(render(model, measured, machine, paths[1].name))
    return paths
