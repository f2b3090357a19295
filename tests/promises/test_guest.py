"""A run is a guest in the process that asks for it: it leaves everything as it found it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parquet import linear_columns, write_parquet

# Before and after in a process of its own: this one has been used by other tests.
_PROGRAM = """
import json, logging, os, random, signal, sys, threading, warnings
import numpy as np, pyarrow as pa, torch

def settings():
    return {
        "torch threads": torch.get_num_threads(),
        "torch state": torch.get_rng_state().sum().item(),
        "arrow threads": [pa.cpu_count(), pa.io_thread_count()],
        "python state": hash(random.getstate()),
        "numpy state": int(np.random.get_state()[1].sum()),
        "ray logs": [logging.getLogger(name).level for name in ("ray", "ray.train")],
        "root logs": [logging.getLogger().level, len(logging.getLogger().handlers)],
        "filters": [str(each) for each in warnings.filters],
        "handlers": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM)],
        "environment": sorted(os.environ.items()),
        "folder": os.getcwd(),
    }

import ray, ray.train.torch, scipy.special, torch._dynamo
# What importing a library sets is that library's own.
torch.set_num_threads(2); pa.set_cpu_count(7); pa.set_io_thread_count(3)
torch.manual_seed(1); random.seed(1); np.random.seed(1)
warnings.simplefilter("ignore", category=UserWarning)
before = settings()
import linreg_dist as lr
for name in ("a", "b"):
    lr.train(json.loads(sys.argv[1]) | {"name": name})
after = settings()
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["exact", "sgd", "lbfgs"])
def test_settings_of_the_calling_process_are_kept(tmp_path: Path, solver: str) -> None:
    path = write_parquet(tmp_path / "a.parquet", linear_columns(200, 2))
    spec = {
        "data": {"path": str(path), "target": "y"},
        "solver": {"name": solver, "epochs": 2},
        "run": {"storage_path": str(tmp_path / "runs")},
    }
    ran = subprocess.run(
        [sys.executable, "-c", _PROGRAM, json.dumps(spec)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]) == {}


@pytest.mark.slow
def test_a_run_in_a_thread_beside_an_event_loop_works(tmp_path: Path) -> None:
    """As in a notebook, whose loop runs in the main thread, and in a service."""
    path = write_parquet(tmp_path / "a.parquet", linear_columns(200, 2))
    spec = {"name": "r", "data": {"path": str(path), "target": "y"}, "run": {"storage_path": str(tmp_path)}}
    program = f"""
import asyncio
import linreg_dist as lr

async def main():
    here = lr.train({spec!r}, fresh=True)
    there = await asyncio.to_thread(lr.train, {spec!r}, fresh=True)
    print(here.result["status"], there.result["status"])

asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ran.stdout.split() == ["succeeded", "succeeded"], ran.stderr
