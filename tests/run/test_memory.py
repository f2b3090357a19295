"""Memory does not grow with the data: measured as the process's peak resident set."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.run.conftest import write_parts

ROWS, FEATURES = 100_000, 64
BLOCK_BYTES = ROWS * (FEATURES + 1) * 4
ALLOWED = 3 * BLOCK_BYTES + (128 << 20)

CHILD = """
import json, resource, sys
import linreg_dist as lr
import linreg_dist.training.loop, ray.train.torch, torch._dynamo
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
lr.train(json.loads(sys.argv[2]))  # loads and warms up everything that is loaded once
before = peak()
lr.train(json.loads(sys.argv[1]))
print(peak() - before)
"""


def _spec(folder: Path, storage: Path, name: str, solver: str) -> str:
    spec = {
        "name": name,
        "data": {"path": str(folder), "target": "y"},
        "solver": {"name": solver} | ({} if solver == "exact" else {"epochs": 2, "early_stop": None}),
        "scaling": {"memory_budget": 0, "disk_budget": 0},
        "run": {"storage_path": str(storage)},
    }
    return json.dumps(spec)


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["sgd", "exact"])
def test_without_a_cache_memory_is_bounded_for_any_number_of_rows(tmp_path: Path, solver: str) -> None:
    write_parts(tmp_path / "tiny", [200], num_features=FEATURES)
    write_parts(tmp_path / "1x", [2 * ROWS], num_features=FEATURES, row_group_size=ROWS)
    for part in range(10):
        write_parts(
            tmp_path / "10x" / str(part), [2 * ROWS], num_features=FEATURES, row_group_size=ROWS, seed=part
        )
    grown = {}
    for size in ("1x", "10x"):
        job = _spec(tmp_path / size, tmp_path / "runs", size, solver)
        warm_up = _spec(tmp_path / "tiny", tmp_path / "runs", f"warm-{size}", solver)
        done = subprocess.run(
            [sys.executable, "-c", CHILD, job, warm_up], capture_output=True, text=True, check=True
        )
        grown[size] = int(done.stdout.split()[-1])
    print(
        solver,
        {size: f"{nbytes / 2**20:.0f} MiB" for size, nbytes in grown.items()},
        f"allowed {ALLOWED / 2**20:.0f} MiB",
    )
    assert grown["1x"] < ALLOWED
    assert grown["10x"] < ALLOWED
