"""Seconds of whole commands on a small job, from the start of the process to its end.

``python -m benchmarks startup`` runs each command in rounds that interleave all of them, and prints the
medians: wall time, and processor time of all cores, which other work on the machine disturbs less.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_JOBS = Path(__file__).parents[1] / "jobs"
_COMMAND = [sys.executable, "-m", "linreg_dist"]


def commands(folder: Path) -> dict[str, list[str]]:
    """Return what is timed, by name; ``show`` and its kin take the run that the first command leaves."""
    run, data = str(folder / "flights"), str(_JOBS / "data" / "flights")
    settings = ["--fresh", "-q", "--set", f"run.storage_path={folder}"]
    return {
        "train, exact": ["train", str(_JOBS / "flights.yaml"), *settings],
        "train, exact, no report": [
            *("train", str(_JOBS / "flights.yaml"), *settings),
            *("--set", "name=bare", "--set", "outputs.report=false"),
        ],
        "train, sgd": ["train", str(_JOBS / "flights_sgd.yaml"), *settings],
        "show": ["show", run],
        "validate": ["validate", str(_JOBS / "flights.yaml")],
        "inspect": ["inspect", data],
        "evaluate": ["evaluate", run, "--data", data],
        "predict": ["predict", run, "--data", data, "--output", str(folder / "scores"), "--overwrite"],
        "--help": ["--help"],
    }


def measure(rounds: int, say: Callable[[str], None]) -> dict[str, tuple[float, float]]:
    """Return the median wall and processor seconds of each command."""
    seconds: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="lrd-startup-") as folder:
        for number in range(rounds + 1):  # the first one fills caches
            for name, arguments in commands(Path(folder)).items():
                found = _run([*_COMMAND, *arguments])
                if number:
                    seconds.setdefault(name, []).append(found)
            say(f"round {number} of {rounds}")
    return {
        name: (statistics.median(wall for wall, _ in each), statistics.median(cpu for _, cpu in each))
        for name, each in seconds.items()
    }


def table(found: dict[str, tuple[float, float]]) -> str:
    """Return the medians as a Markdown table."""
    lines = ["| command | wall s | processor s |", "|---|---:|---:|"]
    return "\n".join(
        [*lines, *(f"| {name} | {wall:.2f} | {cpu:.2f} |" for name, (wall, cpu) in found.items())]
    )


def _run(command: list[str]) -> tuple[float, float]:
    before, started = os.times(), time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wall, after = time.perf_counter() - started, os.times()
    return wall, sum(after[2:4]) - sum(before[2:4])
