"""Commands as other tools give them: an example in a folder of its own, its data, what came of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples"
MONTHS = ROOT / "jobs/data/flights"


def copy_example(name: str, folder: Path) -> Path:
    """Copy an example and two months of flights, and return where they are."""
    work = folder / "work"
    shutil.copytree(EXAMPLES / name, work)
    for month in (1, 2):
        deliver(work, month)
    return work


def deliver(work: Path, month: int) -> None:
    """Let the data of a month arrive."""
    shutil.copytree(MONTHS / f"month={month}", work / f"data/month={month}")


def solve_exactly(work: Path) -> None:
    """Let the job add what is new, which needs the exact solver."""
    spec = work / "job.yaml"
    spec.write_text(spec.read_text().replace("name: sgd", "name: auto"))


def run(*command: str, cwd: Path, rc: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a command with the programs of this environment on the PATH, and a home of its own."""
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(cwd.parent),
        "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(cwd.parent / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "200",
    }
    done = subprocess.run(
        command, cwd=cwd, env=environ, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == rc, done.stdout + done.stderr
    return done


def result_of(work: Path) -> dict[str, Any]:
    """Return the result of the run of the example."""
    document: dict[str, Any] = json.loads((work / "runs/flights/result.json").read_text())
    return document
