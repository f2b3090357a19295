"""What we tell Ray Train by environment variables holds for one fit, and where the user says nothing."""

from __future__ import annotations

import os

import pytest

from linreg_dist.jobspec import JobSpec, load_spec
from linreg_dist.run.ray.trainer import _ray_train_settings

INTERVAL = "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S"
PATIENCE = "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"
WATCHER = "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"


def job(num_workers: int | list[int] = 2) -> JobSpec:
    return load_spec({"data": {"path": "d", "target": "y"}, "scaling": {"num_workers": num_workers}})


def test_settings_are_gone_after_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(INTERVAL, raising=False)
    with _ray_train_settings(job()):
        assert os.environ[INTERVAL] == "0.5"
    assert INTERVAL not in os.environ


def test_an_elastic_job_does_not_wait_a_minute_for_a_node_that_is_lost(monkeypatch) -> None:
    monkeypatch.delenv(PATIENCE, raising=False)
    with _ray_train_settings(job([1, 2])):
        assert os.environ[PATIENCE] == "10"
    with _ray_train_settings(job()):
        assert PATIENCE not in os.environ


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(INTERVAL, "7")
    with _ray_train_settings(job()):
        assert os.environ[INTERVAL] == "7"
    assert os.environ[INTERVAL] == "7"


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_one_machine_needs_no_watch_for_nodes_that_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(WATCHER, raising=False)
    with _ray_train_settings(job()):
        assert os.environ[WATCHER] == "0"
    assert WATCHER not in os.environ
