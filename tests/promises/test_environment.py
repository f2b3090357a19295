"""What other tools leave in the environment does not change a run in this process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from linreg_dist.verbs.train import Run
from tests.parquet import linear_columns, write_parquet

_TORCHRUN = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "2",
    "LOCAL_WORLD_SIZE": "2",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "29511",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_parquet(tmp_path / "d" / "a.parquet", linear_columns(100, 2))


def test_a_job_of_one_process_waits_for_no_peers_of_torchrun(
    path: Path, train_here: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in _TORCHRUN.items():
        monkeypatch.setenv(name, value)
    assert train_here(path).result["status"] == "succeeded"
    assert {name: os.environ.get(name) for name in _TORCHRUN} == _TORCHRUN  # as the caller left them


def test_an_empty_address_of_ray_is_none(
    path: Path, train_here: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "")
    assert train_here(path).result["status"] == "succeeded"


@pytest.mark.slow
def test_the_first_version_of_ray_train_is_ignored_or_named(path: Path, tmp_path: Path) -> None:
    spec = {"data": {"path": str(path), "target": "y"}, "run": {"storage_path": str(tmp_path)}, "name": "r"}
    train = f"import linreg_dist as lr; print(lr.train({spec!r}, fresh=True).result['status'])"
    environment = os.environ | {"RAY_TRAIN_V2_ENABLED": "0"}
    ours = subprocess.run(
        [sys.executable, "-c", train], env=environment, capture_output=True, text=True, check=True
    )
    assert ours.stdout.strip() == "succeeded"
    imported = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import ray.train; {train}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "SpecError: RAY_TRAIN_V2_ENABLED is 0" in imported.stderr.splitlines()[-1]
