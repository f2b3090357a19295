"""The process of a submitted job ends when those who would end it are gone; see `run.job_watch`."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from linreg_dist.liveness import process_exists, process_start
from tests.parts import wait_for, write_parts
from tests.processes import kill

pytestmark = pytest.mark.slow

# Starts a job as Ray's supervisor does: SIGINT blocked, in a session of its own, by a shell.
SUPERVISOR = """
import os, signal, subprocess, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
job = subprocess.Popen(
    sys.argv[1], shell=True, start_new_session=True, env={**os.environ, "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}
)
print(job.pid, flush=True)
job.wait()
"""


def endless_job(folder: Path, **run: float) -> str:
    """Return the command of a job that would train for days."""
    write_parts(folder / "data", [3000])
    spec = {
        "name": "job",
        "data": {"path": str(folder / "data"), "target": "y"},
        "solver": {"name": "sgd", "epochs": 100_000_000, "learning_rate": 1e-9, "early_stop": None},
        "run": {"storage_path": str(folder / "runs"), "checkpoint_every_s": 0.1, **run},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(spec))
    return f"{sys.executable} -m linreg_dist train {folder}/job.yaml --quiet"


def wait_until_it_trains(folder: Path) -> None:
    wait_for(lambda: list((folder / "runs/job/checkpoints").glob("epoch*")))


def result(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "runs/job/result.json").read_text())
    return document


@pytest.mark.parametrize("waiting_shell", [False, True])
def test_a_job_whose_supervisor_is_killed_ends_with_a_result(tmp_path: Path, waiting_shell: bool) -> None:
    command = endless_job(tmp_path) + ("; true" if waiting_shell else "")
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, command], stdout=subprocess.PIPE, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        leader = int(supervisor.stdout.readline())
        started = process_start(leader)
        try:
            wait_until_it_trains(tmp_path)
            kill([supervisor.pid])
            wait_for(lambda: not process_exists(leader) or process_start(leader) != started, timeout_s=60)
        finally:
            if process_start(leader) == started:
                kill([leader])
    assert result(tmp_path)["status"] == "failed"
    assert result(tmp_path)["error"]["exit_code"] == 4
    assert "the Ray head that this job was submitted to is gone" in result(tmp_path)["error"]["message"]


def start_with_sigint_blocked(command: str) -> subprocess.Popen[str]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(command.split(), stderr=subprocess.PIPE, text=True)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def test_a_job_whose_run_folder_is_gone_ends_and_writes_no_result(tmp_path: Path) -> None:
    with start_with_sigint_blocked(endless_job(tmp_path)) as process:
        try:
            wait_until_it_trains(tmp_path)
            (tmp_path / "runs").rename(tmp_path / "gone")
            shutil.rmtree(tmp_path / "gone")
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 1, errors
    assert "was moved, unmounted or removed while it ran: its folder is gone" in errors
    assert not (tmp_path / "runs/job/result.json").exists()


def test_a_job_s_time_limit_holds_where_sigint_is_blocked(tmp_path: Path) -> None:
    with start_with_sigint_blocked(endless_job(tmp_path, timeout_s=3.0)) as process:
        try:
            _, errors = process.communicate(timeout=90)
        finally:
            process.kill()
    assert process.returncode == 1, errors
    assert "run.timeout_s of 3 s is over" in result(tmp_path)["error"]["message"]
