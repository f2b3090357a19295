"""Memory and files that cannot be had end a run with exit code 1 and the limit, and blame no data."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

# The command line with a limit that is set when all is loaded: what libraries map does not count.
_PROGRAM = """
import os, resource, sys
import ray.train.torch, torch, pyarrow.parquet, scipy.linalg
import linreg_dist.verbs.train, linreg_dist.training.loop
from linreg_dist.cli.main import run

def taken():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

what, room, *arguments = sys.argv[1:]
if what == "memory":
    resource.setrlimit(resource.RLIMIT_AS, (taken() + int(room),) * 2)
else:
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + int(room),) * 2)
sys.exit(run(arguments))
"""


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    rows = 2_000_000
    columns = {f"x{i}": np.full(rows, float(i)) for i in range(8)}
    columns["x0"] = np.arange(rows, dtype=np.float64)
    pq.write_table(pa.table(columns | {"y": columns["x0"] * 2}), tmp_path / "a.parquet", row_group_size=rows)
    file = tmp_path / "job.json"
    document = {
        "version": 1,
        "name": "job",
        "data": {"path": "a.parquet", "target": "y", "features": ["x0"] + [f"x{i}" for i in range(2, 8)]},
        "run": {"storage_path": str(tmp_path / "runs")},
    }
    file.write_text(json.dumps(document))
    return file


def limited(what: str, room: int, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _PROGRAM, what, str(room), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_memory_that_cannot_be_had_is_no_fault_of_the_data(spec: Path) -> None:
    ran = limited("memory", 60 << 20, "train", spec, "--json", "-q")
    error = json.loads(ran.stdout)["error"]
    assert ran.returncode == error["exit_code"] == 1, ran.stderr
    assert "memory could not be had: ulimit -v" in error["message"]
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_files_that_cannot_be_opened_are_no_fault_of_the_data(spec: Path) -> None:
    ran = limited("files", 1, "train", spec, "-q")
    assert ran.returncode == 1, ran.stderr
    assert "no more files could be opened: the limit is " in ran.stderr
    assert "Traceback" not in ran.stderr
