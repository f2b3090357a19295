"""What this machine cannot do is refused before anything starts, and what it does badly is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import linreg_dist as lr
from linreg_dist import limits
from linreg_dist.jobspec import JobSpec, load_spec
from linreg_dist.run.finished_run import Run
from linreg_dist.run.local_limits import check_this_machine
from linreg_dist.run.ray.trainer import _failure
from tests.parquet import linear_columns, write_parquet

CORES = limits.available_cpus()


def spec(address: str | None = None, **scaling: Any) -> JobSpec:
    document = {"name": "job", "data": {"path": "d", "target": "y"}, "scaling": scaling}
    return load_spec({**document, "cluster": {"address": address}})


@pytest.fixture(autouse=True)
def no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is here")
def test_a_gpu_that_is_not_there_is_refused_in_this_process_too(
    tmp_path: Path, train_here: Callable[..., Run]
) -> None:
    path = write_parquet(tmp_path / "d" / "a.parquet", linear_columns())
    with pytest.raises(lr.ClusterError, match=r"use_gpu is true, and PyTorch finds no GPU on this machine"):
        train_here(path, scaling={"use_gpu": True})
    assert not (tmp_path / "runs").exists(), "nothing was written"


def test_one_process_is_no_matter(caplog: pytest.LogCaptureFixture) -> None:
    check_this_machine(spec(num_workers=0))
    assert caplog.text == ""


@pytest.mark.parametrize("num_workers", [1, CORES])
def test_as_many_workers_as_cores_are_advised_to_be_one_process(
    num_workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    check_this_machine(spec(num_workers=num_workers))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "scaling.num_workers: 0 uses all its cores in one process" in caplog.text


@pytest.mark.parametrize(
    "scaling",
    [
        {"num_workers": CORES + 1},
        {"num_workers": 4 * CORES},
        {"num_workers": [1, CORES + 1]},
        {"num_workers": 1, "resources_per_worker": {"CPU": CORES + 1}},
    ],
)
def test_more_workers_than_cores_are_a_warning(scaling: Any, caplog: pytest.LogCaptureFixture) -> None:
    check_this_machine(spec(**scaling))
    assert f"this process may use {CORES} cores" in caplog.text


@pytest.mark.parametrize(
    "scaling",
    [{"num_workers": 4 * CORES + 1}, {"num_workers": 2, "resources_per_worker": {"CPU": 3 * CORES}}],
)
def test_more_than_four_times_as_many_are_refused(scaling: Any) -> None:
    with pytest.raises(lr.ClusterError, match=r"expected at most 4 times as many") as caught:
        check_this_machine(spec(**scaling))
    assert caught.value.exit_code == 4


def test_the_workers_of_a_cluster_are_not_counted_here(caplog: pytest.LogCaptureFixture) -> None:
    check_this_machine(spec("10.0.0.1:6379", num_workers=1000, use_gpu=True))
    assert caplog.text == ""


def test_workers_that_never_start_are_told_in_three_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 8.0, "node:10.0.0.1": 1.0, "memory": 3e10})
    monkeypatch.setattr("ray.available_resources", lambda: {"CPU": 1.0, "memory": 3e10})
    error = RuntimeError("The worker group startup timed out after 60.0 seconds … resources: {'CPU': 1.0}")
    found = _failure(error, spec(num_workers=4), None)
    assert isinstance(found, lr.ClusterError)
    assert str(found).splitlines() == [
        "the workers did not start in time: 4 workers of 1 CPU each",
        "The cluster has 8 CPU, 1 of them free",
        "Lower scaling.num_workers or scaling.resources_per_worker, add nodes, or start again when others "
        "have finished",
    ]
