"""Run one contender in a fresh process and time it from outside, start to exit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from benchmarks.contender import Contender, Grid
from benchmarks.problems import Dataset

Status = Literal["ok", "unavailable", "failed"]
_REPOSITORY = Path(__file__).parents[1]


@dataclass(frozen=True)
class Record:
    """One run of one contender.

    Attributes:
        problem, contender, round: which.
        num_rows, num_features: the size of the problem, whatever part of it the contender read.
        cores: how many it could use.
        status, reason: whether it worked, and why not.
        startup_s: from the start of the process until it began to read.
        train_s: reading and learning.
        teardown_s: until the process was gone.
        passes: ``(rows, seconds)`` one after another; the first includes reading. Their sum is at most
            ``train_s``.
        mse, gap: the mean squared error over ALL rows of what was learnt, and its excess over the optimum.
        digits: of the coefficients that are right, where the grid asks for them.
        peak_rss_mb: of the process, None where it used others.
        note, extra: from the contender.
    """

    problem: str
    contender: str
    round: int
    num_rows: int
    num_features: int
    status: Status
    reason: str = ""
    cores: int | None = None
    startup_s: float | None = None
    train_s: float | None = None
    teardown_s: float | None = None
    passes: list[tuple[int, float]] = field(default_factory=list)
    mse: float | None = None
    gap: float | None = None
    digits: float | None = None
    peak_rss_mb: float | None = None
    note: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def rows_per_s(self) -> float | None:
        """Rows a second over all passes."""
        return _rate(self.passes)

    @property
    def first_rows_per_s(self) -> float | None:
        """Rows a second of the first pass, reading included."""
        return _rate(self.passes[:1])

    @property
    def later_rows_per_s(self) -> float | None:
        """Rows a second of the passes after the first; None if there was only one."""
        return _rate(self.passes[1:])


def run_isolated(contender: Contender, dataset: Dataset, grid: Grid, round_number: int = 0) -> Record:
    """Run a contender in a process of its own; what goes wrong there becomes part of the record."""
    problem = dataset.problem
    identity: dict[str, Any] = {
        "problem": problem.name,
        "contender": contender.name,
        "round": round_number,
        "num_rows": problem.num_rows,
        "num_features": problem.num_features,
    }
    with tempfile.TemporaryDirectory(prefix="linreg-bench-") as folder:
        request, answer, log = (Path(folder) / name for name in ("request.json", "answer.json", "log"))
        request.write_text(
            json.dumps(
                {
                    "contender": contender.name,
                    "dataset": str(dataset.path.resolve()),
                    "grid": asdict(grid),
                    "num_cpus": contender.num_cpus,
                }
            )
        )
        spawned = time.time()
        failure = _run_child(request, answer, log, grid.timeout_s)
        gone = time.time()
        if failure:
            return Record(**identity, status="failed", reason=failure)
        document = json.loads(answer.read_text())
    if "unavailable" in document:
        return Record(**identity, status="unavailable", reason=document["unavailable"])
    outcome = document["outcome"]
    mse = gap = digits = None
    if outcome["coef"] is not None:
        gap = dataset.gap(outcome["coef"], outcome["intercept"])
        mse = dataset.optimum[1] + gap
        if grid.digits:
            digits = dataset.digits(outcome["coef"], outcome["intercept"])
    return Record(
        **identity,
        status="ok",
        cores=document["cores"],
        startup_s=outcome["started"] - spawned,
        train_s=outcome["finished"] - outcome["started"],
        teardown_s=gone - outcome["finished"],
        passes=[(part["rows"], part["seconds"]) for part in outcome["passes"]],
        mse=mse,
        gap=gap,
        digits=digits,
        peak_rss_mb=document["peak_rss_mb"],
        note=outcome["note"],
        extra=outcome["extra"],
    )


def _run_child(request: Path, answer: Path, log: Path, timeout_s: float) -> str | None:
    """Start the child and wait for it; return why it failed, or None."""
    command = [sys.executable, "-m", "benchmarks.child", str(request), str(answer)]
    # As installed packages are: without this our modules alone would be compiled again in every process.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=_REPOSITORY,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # so that its own children end with it
        )
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"not finished after {timeout_s:g} s"
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            raise
    if process.returncode != 0 or not answer.exists():
        lines = log.read_text(errors="replace").strip().splitlines()
        return f"exit status {process.returncode}: {lines[-1] if lines else 'no output'}"
    return None


def _rate(passes: list[tuple[int, float]]) -> float | None:
    seconds = sum(seconds for _, seconds in passes)
    return sum(rows for rows, _ in passes) / seconds if seconds > 0 else None
