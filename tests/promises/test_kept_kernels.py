"""Kernels give the same bits to the process that compiles them and to those that load what it kept."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
import linreg_dist as lr
changes = {"solver.epochs": 3, "scaling.num_workers": 0, "run.storage_path": sys.argv[1]}
run = lr.train("jobs/flights_workers.yaml", changes)
print(run.model.coef_.tobytes().hex(), run.metrics["train"]["mse"].hex())
"""


@pytest.mark.slow  # compiles the kernels, and trains on the flights in three processes
def test_the_process_that_compiles_computes_what_later_ones_do(tmp_path: Path) -> None:
    found = []
    for number in range(3):
        done = subprocess.run(
            [sys.executable, "-P", "-c", PROGRAM, str(tmp_path / str(number))],
            cwd=ROOT,
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "kernels"), "LINREG_DIST_KERNELS": "native"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.strip())
    assert len(set(found)) == 1
