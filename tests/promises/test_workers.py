"""The same spec on any number of workers: same rows, same answer, no hang, nothing dropped."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linreg_dist as lr
from linreg_dist.jobspec import load_spec
from linreg_dist.kernels.choice import VARIABLE
from linreg_dist.run.watch.capacity import watch_capacity
from linreg_dist.run.watch.interrupts import interruptible
from tests.parts import write_parts


@pytest.fixture
def _workers(request: pytest.FixtureRequest) -> None:
    """Workers of the kind that a parameter names."""
    request.getfixturevalue(request.param)


# Uneven on purpose: a one-row file, an empty one, and fewer rows in some than a batch has.
SIZES = [1700, 1, 0, 333, 40, 900]


def _spec(tmp_path: Path, **solver: Any) -> dict[str, Any]:
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y"},
        "model": {"l2": 0.01},
        "solver": {"epochs": 4, "global_batch_size": 256, "seed": 3, **solver},
        "run": {"storage_path": str(tmp_path / "runs")},
    }


SOLVERS: dict[str, tuple[dict[str, Any], tuple[int, ...], float]] = {
    "exact": ({}, (3, 7), 1e-12),
    "sgd": ({}, (1, 2, 3), 1e-10),
    "adam": ({}, (2,), 1e-10),
    "lbfgs": ({"model.loss": "huber", "solver.epochs": 10}, (2,), 1e-5),
}


@pytest.mark.usefixtures("light_workers")
@pytest.mark.parametrize(
    ("solver", "kernels"), [*((name, "plain") for name in SOLVERS), ("exact", "native"), ("adam", "native")]
)
def test_any_number_of_workers_gives_the_same_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solver: str, kernels: str
) -> None:
    """On Ray this is tested in `tests.cluster.test_nodes`.

    Natively, a worker alone takes its steps in one call, and several sweep within autograd.
    """
    monkeypatch.setenv(VARIABLE, kernels)
    write_parts(tmp_path / "data", SIZES)
    more, numbers, tolerance = SOLVERS[solver]
    if kernels == "native":
        numbers = numbers[:1]
    runs = {
        workers: lr.train(
            _spec(tmp_path, name=solver), {**more, "scaling.num_workers": workers, "name": f"job-{workers}"}
        )
        for workers in (0, *numbers)
    }
    rows = runs[0].result["rows"]
    assert rows["train"] + rows["validation"] == sum(SIZES)
    assert rows["dropped"] == {"filter": 0, "missing": 0}
    for workers, run in runs.items():
        assert run.result["num_workers"] == workers
        assert run.result["rows"] == rows
        np.testing.assert_allclose(run.model.coef_, runs[0].model.coef_, rtol=tolerance)
        np.testing.assert_allclose(run.model.intercept_, runs[0].model.intercept_, rtol=tolerance)
        assert run.metrics["validation"]["mse"] == pytest.approx(runs[0].metrics["validation"]["mse"])


@pytest.mark.usefixtures("light_workers")
def test_more_workers_than_row_groups_still_use_every_row(tmp_path: Path) -> None:
    write_parts(tmp_path / "data", [100], row_group_size=100)
    run = lr.train(_spec(tmp_path, name="sgd"), {"scaling.num_workers": 3})
    assert run.result["rows"]["train"] + run.result["rows"]["validation"] == 100


@pytest.mark.usefixtures("light_workers")
def test_local_sgd_reaches_the_exact_answer(tmp_path: Path) -> None:
    data = write_parts(tmp_path / "data", [4000, 4000])
    overrides = {"scaling.num_workers": 2, "solver.sync_every": 8, "solver.epochs": 10, "model.l2": 0.0}
    run = lr.train(_spec(tmp_path, name="sgd", schedule="cosine"), overrides)
    exact = np.linalg.lstsq(np.column_stack([data["x"], np.ones(8000)]), data["y"], rcond=None)[0]
    np.testing.assert_allclose(run.model.coef_, exact[:-1], atol=0.05)


@pytest.mark.parametrize(
    "_workers", [pytest.param("ray_cluster", marks=pytest.mark.slow), "light_workers"], indirect=True
)
@pytest.mark.usefixtures("_workers")
def test_a_data_error_in_a_worker_reaches_the_caller_as_itself(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    write_parts(tmp_path / "data", [500, 500])
    hole = pa.table(
        {"x0": pa.array([None, 1.0], pa.float32())}
        | {n: pa.array([1.0, 2.0], pa.float32()) for n in ("x1", "x2", "y")}
    )
    pq.write_table(hole, tmp_path / "data" / "part-9.parquet")
    with pytest.raises(lr.DataError, match=r"part-9\.parquet.*'x0' has 1 null"):
        lr.train(_spec(tmp_path, name="sgd"), {"scaling.num_workers": 2})


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_job_that_the_cluster_can_never_run_is_refused_at_once(tmp_path: Path) -> None:
    write_parts(tmp_path / "data", [50])
    cluster = {
        "cluster.address": "auto",
        "scaling.num_workers": 2,
    }  # by its address it is no part of this machine
    with pytest.raises(lr.ClusterError, match=r"the job needs 64 CPU \(2 workers x 32\) of 4"):
        lr.train(
            _spec(tmp_path, name="sgd"),
            {**cluster, "scaling.resources_per_worker": {"CPU": 32}},
        )
    with pytest.raises(lr.ClusterError, match=r"2 GPU"):
        lr.train(_spec(tmp_path, name="sgd"), {**cluster, "name": "gpu", "scaling.use_gpu": True})


def _wait_with_patience(tmp_path: Path, cpus: int) -> None:
    """Watch a job of two workers until its patience of half a second must be over."""
    write_parts(tmp_path / "data", [100])
    overrides = {
        "scaling.num_workers": 2,
        "scaling.resources_per_worker": {"CPU": cpus},
        "run.wait_for_nodes_s": 0.5,
    }
    spec = load_spec(_spec(tmp_path, name="sgd"), overrides)
    with interruptible() as interruption, watch_capacity(spec, interruption):
        threading.Event().wait(6.0)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_job_that_the_cluster_cannot_hold_any_more_is_given_up(tmp_path: Path) -> None:
    with pytest.raises(lr.ClusterError, match=r"the job needs 64 CPU \(2 workers x 32\) of 4"):
        _wait_with_patience(tmp_path, 32)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_job_that_the_cluster_can_hold_is_not_given_up(tmp_path: Path) -> None:
    _wait_with_patience(tmp_path, 1)
