"""What other tools leave in the environment does not change a run in this process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from linreg_dist.run.finished_run import Run
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
    of_workers = train.replace("fresh=True", "{'scaling.num_workers': 1}, fresh=True")
    environment = os.environ | {"RAY_TRAIN_V2_ENABLED": "0"}
    ours = subprocess.run(
        [sys.executable, "-c", train], env=environment, capture_output=True, text=True, check=True
    )
    assert ours.stdout.strip() == "succeeded"
    imported = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"import ray.train; {of_workers}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "SpecError: RAY_TRAIN_V2_ENABLED is 0" in imported.stderr


def cli(*arguments: object, folder: Path | None = None, **environment: str | None) -> tuple[int, str]:
    """Run the command line in a process with an environment of its own; None takes a variable away."""
    there = {name: value for name, value in (os.environ | environment).items() if value is not None}
    ran = subprocess.run(
        [sys.executable, "-m", "linreg_dist", *map(str, arguments)],
        cwd=folder,
        env=there,
        capture_output=True,
        text=True,
        check=False,
    )
    return ran.returncode, ran.stderr


@pytest.fixture
def job(path: Path, tmp_path: Path) -> Path:
    file = tmp_path / "job.json"
    spec = {"data": {"path": str(path), "target": "y"}, "run": {"storage_path": str(tmp_path / "runs")}}
    file.write_text(json.dumps({"version": 1, "name": "r"} | spec))
    return file


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {
            **dict.fromkeys(("HOME", "USER", "LOGNAME")),
            "LC_ALL": "xx_YY.nothing",
            "PYTHONUTF8": "0",
            "PYTHONIOENCODING": "ascii",
            "http_proxy": "http://127.0.0.1:9",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "all_proxy": "socks5://x:1",
        },
        {
            "LC_ALL": "POSIX",
            "PYTHONCOERCECLOCALE": "0",
            "TERM": "",
            "COLUMNS": "0",
            "PYTHONOPTIMIZE": "1",
            "PYTHONHASHSEED": "0",
            "PYTHONUNBUFFERED": "1",
        },
    ],
    ids=["no home, an unknown locale, proxies", "a plain terminal, variables of Python"],
)
def test_a_run_does_not_mind(job: Path, environment: dict[str, str | None]) -> None:
    code, told = cli("train", job, **environment)
    assert code == 0, told


@pytest.mark.slow
def test_python_without_docstrings_is_refused_in_a_sentence(job: Path) -> None:
    code, told = cli("train", job, PYTHONOPTIMIZE="2")
    assert (code, "PYTHONOPTIMIZE=2" in told) == (2, True), told


def test_a_current_directory_that_was_deleted_is_named(job: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    command = f"cd {gone} && rmdir {gone} && exec {sys.executable} -P -m linreg_dist train {job} -q"
    ran = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (
        2,
        "the current directory was deleted; go to one that is there (cd)\n",
    )
