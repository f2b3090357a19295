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


_CHILDREN = """
import json, multiprocessing, os, sys

def child(spec):
    import pyarrow as pa, torch
    import linreg_dist as lr
    torch.set_num_threads(2); pa.set_cpu_count(3)
    run = lr.train(spec, fresh=True)
    return run.result["status"], run.metrics["train"]["mse"], torch.get_num_threads(), pa.cpu_count()

def estimate(rows):
    from linreg_dist.sklearn import DistributedLinearRegression
    return DistributedLinearRegression().fit(rows, rows[:, 0] * 2).coef_.tolist()

if __name__ == "__main__":
    import numpy as np
    spec = json.loads(sys.argv[1])
    rows = np.random.default_rng(0).normal(size=(60, 2))
    import linreg_dist as lr
    here = lr.train(spec | {"name": "here"}).metrics["train"]["mse"]
    found = {}
    for method in sys.argv[2:]:
        with multiprocessing.get_context(method).Pool(2) as pool:
            trained = pool.map_async(child, [spec | {"name": f"{method}{i}"} for i in range(2)]).get(100)
            fitted = pool.map_async(estimate, [rows] * 2).get(100)
        found[method] = [
            [each == ("succeeded", here, 2, 3) for each in trained],
            [abs(coef[0] - 2) < 1e-9 for coef in fitted],
        ]
    after = lr.train(spec | {"name": "after"}).metrics["train"]["mse"]
    print(json.dumps({"found": found, "after": after == here}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("solver", ["exact", "sgd"])
def test_children_of_a_process_that_has_trained_train_and_estimate_too(tmp_path: Path, solver: str) -> None:
    """By fork, which leaves the threads of torch and Arrow behind, as by spawn; then the parent again."""
    path = write_parquet(tmp_path / "a.parquet", linear_columns(200, 2))
    spec = {
        "data": {"path": str(path), "target": "y"},
        "solver": {"name": solver},
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False},
    }
    (tmp_path / "program.py").write_text(_CHILDREN)
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "program.py"), json.dumps(spec), "fork", "spawn", "forkserver"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    well = [[True, True], [True, True]]
    assert json.loads(ran.stdout.splitlines()[-1]) == {
        "found": {"fork": well, "spawn": well, "forkserver": well},
        "after": True,
    }


_SEARCH = """
import json
import numpy as np
from sklearn.model_selection import GridSearchCV, cross_val_score
from linreg_dist.sklearn import DistributedLinearRegression
rng = np.random.default_rng(0)
X = rng.normal(size=(120, 3)); y = X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=120)
found = {}
for jobs in (1, 2):
    search = GridSearchCV(DistributedLinearRegression(), {"l2": [0.0, 0.1, 10.0]}, cv=2, n_jobs=jobs)
    search.fit(X, y)
    found[jobs] = [search.best_params_["l2"], search.cv_results_["mean_test_score"].tolist()]
threads = cross_val_score(DistributedLinearRegression(), X, y, cv=2).tolist()
from joblib import parallel_config
with parallel_config(backend="threading", n_jobs=2):
    found["threads"] = cross_val_score(DistributedLinearRegression(), X, y, cv=2).tolist() == threads
print(json.dumps(found))
"""


@pytest.mark.slow
def test_a_search_over_the_estimator_in_processes_of_joblib_finds_what_one_process_does() -> None:
    pytest.importorskip("sklearn")
    ran = subprocess.run(
        [sys.executable, "-c", _SEARCH], capture_output=True, text=True, check=False, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    assert found["1"] == found["2"]
    assert found["threads"]
