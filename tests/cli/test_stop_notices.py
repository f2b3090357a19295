"""A notice to stop ends any verb as Ctrl-C does: exit 130, nothing half-written."""

from __future__ import annotations

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


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stop")
    x = np.random.default_rng(0).normal(size=400_000)
    for number in range(6):
        pq.write_table(
            pa.table({"x": x, "y": 2 * x + 1}), folder / f"{number}.parquet", row_group_size=20_000
        )
    return folder


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
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not out.is_dir() or not any(out.iterdir()):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(notice)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "Error: interrupted" in err
    assert "Traceback" not in err
    assert [
        file.name for file in out.iterdir() if not file.name.endswith(".parquet") or file.name.startswith(".")
    ] == []
