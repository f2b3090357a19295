"""A run that is told to stop says so, and the same command finishes it with the same answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

import linreg_dist as lr
from tests.parts import wait_for, write_parts

EPOCHS = 500

pytestmark = pytest.mark.timeout(600)


_PROGRAM = """
import os, signal, sys
from linreg_dist.run.ray.session import ray_session
from linreg_dist.jobspec import load_spec

signal.signal(signal.SIGTERM, signal.default_int_handler)
spec = load_spec({"name": "job", "data": {"path": ".", "target": "y"}, "scaling": {"num_workers": 1}})
try:
    with ray_session(spec, verbose=False):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()
except KeyboardInterrupt:
    sys.exit(42)
"""


def as_users_have_it(home: Path) -> dict[str, str]:
    """Return an environment that leaves Ray's authentication to Ray, which then makes itself a token."""
    return {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"} | {
        "HOME": str(home)
    }


@pytest.mark.slow
def test_a_notice_to_stop_is_ours_to_handle_also_with_ray(tmp_path: Path) -> None:
    """`ray.init` puts a handler in place that ends the process, without a result."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=as_users_have_it(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 42, done.stderr


def spec_for(data: Path, storage: Path, num_workers: int) -> dict[str, Any]:
    return {
        "name": "job",
        "data": {"path": str(data), "target": "y"},
        "solver": {"name": "sgd", "epochs": EPOCHS, "global_batch_size": 500, "early_stop": None},
        "scaling": {"num_workers": num_workers},
        "run": {"storage_path": str(storage), "checkpoint_every_s": 0.1},
        "outputs": {"report": False},
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    write_parts(folder, [3000, 3000])
    return folder


@pytest.fixture(scope="module")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> lr.Run:
    return lr.train(spec_for(data, tmp_path_factory.mktemp("undisturbed"), 0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notice", "num_workers"),
    [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGTERM, 1), (signal.SIGINT, 1)],
)
def test_a_run_that_is_stopped_continues_where_it_was(
    data: Path, undisturbed: lr.Run, tmp_path: Path, notice: signal.Signals, num_workers: int
) -> None:
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(spec_for(data, tmp_path / "runs", num_workers)))
    command = [sys.executable, "-m", "linreg_dist", "train", str(tmp_path / "job.yaml"), "-q"]
    process = subprocess.Popen(
        command,
        env=as_users_have_it(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    checkpoints = tmp_path / "runs/job/checkpoints"
    wait_for(lambda: process.poll() is not None or list(checkpoints.glob("epoch*")), 300.0)
    process.send_signal(notice)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 130, errors
    result = json.loads((tmp_path / "runs/job/result.json").read_text())
    assert result["status"] == "interrupted"
    assert "Traceback" not in errors

    assert not (tmp_path / "runs/job/lock.json").exists()

    here = {"scaling.num_workers": 0}  # which is the same job: where it runs does not change the answer
    continued = lr.train(tmp_path / "job.yaml", here)
    assert continued.result["status"] == "succeeded"
    np.testing.assert_allclose(continued.model.coef_, undisturbed.model.coef_, rtol=1e-10)
    assert continued.result["solver"]["epochs"] == EPOCHS
