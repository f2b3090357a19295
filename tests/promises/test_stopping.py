"""A run that is told to stop says so, and the same command finishes it with the same answer."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

import linreg_dist as lr
from tests.parts import write_parts

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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notice", "num_workers"),
    [(signal.SIGTERM, 0), (signal.SIGINT, 0), (signal.SIGTERM, 1), (signal.SIGINT, 1)],
)
def test_a_run_that_is_stopped_continues_where_it_was(
    tmp_path: Path, notice: signal.Signals, num_workers: int
) -> None:
    write_parts(tmp_path / "data", [3000, 3000])
    spec = {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y"},
        "solver": {"name": "sgd", "epochs": 300, "global_batch_size": 500, "early_stop": None},
        "scaling": {"num_workers": num_workers},
        "run": {"storage_path": str(tmp_path / "runs"), "checkpoint_every_s": 0.1},
    }
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "linreg_dist", "train", str(tmp_path / "job.yaml"), "-q"]
    process = subprocess.Popen(
        command, env=as_users_have_it(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "runs/job/checkpoints").glob("epoch*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)  # until the first checkpoint is there
    process.send_signal(notice)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    result = json.loads((tmp_path / "runs/job/result.json").read_text())
    assert result["status"] == "interrupted"
    assert "Traceback" not in errors

    assert not (tmp_path / "runs/job/lock.json").exists()

    here = {"scaling.num_workers": 0}  # which is the same job: where it runs does not change the answer
    continued = lr.train(tmp_path / "job.yaml", here)
    assert continued.result["status"] == "succeeded"
    undisturbed = lr.train(spec, {"name": "undisturbed", **here})
    np.testing.assert_allclose(continued.model.coef_, undisturbed.model.coef_, rtol=1e-10)
    assert continued.result["solver"]["epochs"] == 300
