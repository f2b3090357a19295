"""Memory does not grow with the data: measured as the process's peak resident set.

`ru_maxrss` would not do: a process inherits it from the one that started it, which may have been larger.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parts import write_parts

ROWS, FEATURES = 100_000, 64
BLOCK_BYTES = ROWS * (FEATURES + 1) * 4
ALLOWED = 3 * BLOCK_BYTES + (128 << 20)

CHILD = """
import json, os, sys
os.environ["LINREG_DIST_KERNELS"] = "native"  # so that the small job loads the compiler too
import linreg_dist as lr
import linreg_dist.training.loop, ray.train.torch, torch._dynamo
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) * 1024
warm_up, *jobs = map(json.loads, sys.argv[1:])
lr.train(warm_up)  # loads and warms up everything that is loaded once
before = peak()
for job in jobs:
    lr.train(job)
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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some rows, and ten times as many."""
    folder = tmp_path_factory.mktemp("data")
    write_parts(folder / "tiny", [200], num_features=FEATURES)
    write_parts(folder / "1x", [2 * ROWS], num_features=FEATURES, row_group_size=ROWS)
    for part in range(10):
        shutil.copytree(folder / "1x", folder / "10x" / str(part))
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["sgd", "exact"])
def test_without_a_cache_memory_is_bounded_for_any_number_of_rows(
    data: Path, tmp_path: Path, solver: str
) -> None:
    names = ("tiny", "1x", "10x")
    jobs = [_spec(data / name, tmp_path / "runs", name, solver) for name in names]
    done = subprocess.run([sys.executable, "-c", CHILD, *jobs], capture_output=True, text=True, check=True)
    grown = dict(zip(names[1:], map(int, done.stdout.split()[-2:]), strict=True))
    print(
        solver,
        {size: f"{nbytes / 2**20:.0f} MiB" for size, nbytes in grown.items()},
        f"allowed {ALLOWED / 2**20:.0f} MiB",
    )
    assert grown["1x"] > BLOCK_BYTES, "one row group at least must have shown"
    assert grown["1x"] < ALLOWED
    assert grown["10x"] < ALLOWED
