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
from linreg_dist.run.ray.trainer import _failure, backend_of
from linreg_dist.training.rows.gpus import VARIABLE
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


def test_more_workers_than_gpus_are_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1x1000000000")
    with pytest.raises(lr.ClusterError) as caught:
        check_this_machine(spec(num_workers=2, use_gpu=True))
    assert caught.value.exit_code == 4
    message = str(caught.value)
    assert "scaling asks for 2 workers with 1 GPU each, and this machine has 1" in message
    assert "scaling.num_workers to 0" in message
    assert "resources_per_worker: {CPU: 1, GPU: 0.5}" in message


@pytest.mark.parametrize(
    "scaling", [{"num_workers": 0}, {"num_workers": 1}, {"num_workers": [1, 2]}], ids=str
)
def test_one_gpu_is_enough_for_one_worker(monkeypatch: pytest.MonkeyPatch, scaling: Any) -> None:
    monkeypatch.setenv(VARIABLE, "1x1000000000")
    check_this_machine(spec(use_gpu=True, **scaling))


def test_workers_that_share_a_gpu_are_told_that_they_take_turns(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(VARIABLE, "1x1000000000")
    check_this_machine(spec(num_workers=2, use_gpu=True, resources_per_worker={"CPU": 1, "GPU": 0.5}))
    assert "2 workers share a GPU (0.5 each): they take turns on it" in caplog.text


@pytest.mark.parametrize("num_workers", [0, 2])
def test_auto_asks_for_no_gpu(monkeypatch: pytest.MonkeyPatch, num_workers: int) -> None:
    monkeypatch.setenv(VARIABLE, "0x0")
    check_this_machine(spec(num_workers=num_workers, use_gpu="auto"))


@pytest.mark.parametrize(
    ("scaling", "backend"),
    [
        ({}, "gloo"),
        ({"use_gpu": "auto"}, "gloo"),
        ({"use_gpu": True}, "nccl"),
        ({"use_gpu": True, "resources_per_worker": {"CPU": 4, "GPU": 2}}, "nccl"),
        ({"use_gpu": True, "resources_per_worker": {"CPU": 4, "GPU": 0.5}}, "gloo"),
        ({"resources_per_worker": {"CPU": 4, "GPU": 1}}, "gloo"),
    ],
    ids=str,
)
def test_nccl_is_for_workers_with_a_gpu_each(scaling: Any, backend: str) -> None:
    assert backend_of(spec(num_workers=2, **scaling).scaling) == backend


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
