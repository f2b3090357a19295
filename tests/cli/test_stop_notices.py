"""A notice to stop ends any verb as Ctrl-C does: exit 130, nothing half-written."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from linreg_dist.run.unfinished import MARKER


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stop")
    x = np.random.default_rng(0).normal(size=400_000)
    for number in range(6):
        pq.write_table(
            pa.table({"x": x, "y": 2 * x + 1}), folder / f"{number}.parquet", row_group_size=20_000
        )
    return folder


def hear_the_terminal() -> None:
    """Be no child of ``nohup``, under which the end of the terminal is ignored, and stays so."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.mark.slow
@pytest.mark.parametrize("notice", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_predict_that_is_told_to_stop_leaves_no_half_file(
    data: Path, tmp_path: Path, notice: signal.Signals
) -> None:
    run = lr.train(
        {
            "name": "r",
            "data": {"path": str(data / "0.parquet"), "target": "y"},
            "run": {"storage_path": str(tmp_path)},
        }
    )
    out = tmp_path / "out"
    command = [
        sys.executable,
        "-m",
        "linreg_dist",
        "predict",
        str(run.path),
        "--data",
        str(data),
        "--output",
        str(out),
    ]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, preexec_fn=hear_the_terminal
    )
    deadline = time.monotonic() + 60
    while not out.is_dir() or not list(out.glob("*.parquet")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(notice)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Error: interrupted" in err
    assert "Traceback" not in err
    written = {file.name for file in out.iterdir()} - {MARKER}
    assert written <= {f"{number}.parquet" for number in range(6)}


@pytest.mark.slow
@pytest.mark.parametrize("end", [signal.SIGHUP, signal.SIGKILL])
def test_a_batch_that_ends_takes_its_jobs_along(data: Path, tmp_path: Path, end: signal.Signals) -> None:
    specs = []
    for name in ("a", "b"):
        solver = {"name": "sgd", "epochs": 10_000, "global_batch_size": 64, "early_stop": None}
        spec = {
            "name": name,
            "data": {"path": str(data), "target": "y"},
            "solver": solver,
            "run": {"storage_path": str(tmp_path)},
        }
        specs.append(tmp_path / f"{name}.json")
        specs[-1].write_text(json.dumps(spec))
    command = [sys.executable, "-m", "linreg_dist", "batch", *map(str, specs), "--max-concurrent", "2"]
    batch = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=hear_the_terminal
    )
    locks = [tmp_path / name / "lock.json" for name in ("a", "b")]
    deadline = time.monotonic() + 90
    while not all((lock.parent / "metrics.jsonl").exists() for lock in locks):
        assert batch.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    jobs = [json.loads(lock.read_text())["pid"] for lock in locks]
    batch.send_signal(end)
    batch.wait(60)
    while any(Path(f"/proc/{job}").exists() for job in jobs):
        assert time.monotonic() < deadline, "a job goes on without its batch"
        time.sleep(0.05)
    for name in ("a", "b"):
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["status"] == "interrupted"
    assert not any(lock.exists() for lock in locks)
