"""A worker that is stuck is named with its node and stack, ended, and the job goes on; see the rule in
`linreg_dist.training.beats`.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linreg_dist as lr
from linreg_dist.liveness import process_start, process_state
from tests.parts import wait_for, write_parts
from tests.processes import train_workers

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]

LIMIT_S = 8.0


def spec_for(tmp_path: Path, **sections: Any) -> dict[str, Any]:
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y", "validation": {"method": "none"}},
        "solver": {"name": "exact"},
        "scaling": {"num_workers": 2},
        "run": {"storage_path": str(tmp_path / "runs"), "stuck_after_s": LIMIT_S, "max_failures": 1},
        "outputs": {"report": False},
        **sections,
    }


def expect(solution: dict[str, Any], run: lr.Run) -> None:
    design = np.column_stack([solution["x"], np.ones(len(solution["y"]))]).astype(np.float64)
    exact = np.linalg.lstsq(design, solution["y"].astype(np.float64), rcond=None)[0]
    np.testing.assert_allclose(run.model.coef_, exact[:-1], rtol=1e-9)
    assert run.result["rows"]["train"] == len(solution["y"])


def block(file: Path, begun: Path, *, heal: bool) -> threading.Thread:
    """Put a named pipe in the place of a file once the job has begun: whoever opens it waits for ever.

    With ``heal`` the file comes back when a worker is gone.
    """

    def work() -> None:
        aside = file.with_name("_aside")  # hidden files are no data
        wait_for(begun.exists)
        file.rename(aside)
        os.mkfifo(file)
        if heal:
            workers = wait_for(lambda: len(found := set(train_workers())) == 2 and found)
            wait_for(lambda: any(process_start(pid) is None for pid in workers))
            aside.replace(file)

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_worker_whose_read_blocks_is_named_with_its_stack_and_the_job_goes_on(tmp_path, caplog) -> None:
    solution = write_parts(tmp_path / "data", [800, 800, 800])
    pipe = block(tmp_path / "data" / "part-1.parquet", tmp_path / "runs/job/job.yaml", heal=True)
    with caplog.at_level(logging.WARNING, "linreg_dist"):
        run = lr.train(spec_for(tmp_path))
    pipe.join()
    expect(solution, run)
    report = run.result["stuck"][0]  # both may have come to the file that blocks
    assert report["host"] == socket.gethostname()
    assert report["rank"] in (0, 1)
    assert "part-1.parquet" in report["doing"]
    assert "no progress for" in report["how"]
    assert "reader.py" in report["stack"], "the thread that reads"
    assert "loop.py" in report["stack"], "and the one that waits for it"
    assert run.result["worker_groups"] == [2, 2]
    assert f"rank {report['rank']} of 2 on {socket.gethostname()}" in caplog.text


def test_a_job_that_is_stuck_again_and_again_fails_with_the_stack(tmp_path: Path) -> None:
    write_parts(tmp_path / "data", [800, 800])
    pipe = block(tmp_path / "data" / "part-0.parquet", tmp_path / "runs/job/job.yaml", heal=False)
    with pytest.raises(lr.RunFailedError) as raised:
        lr.train(spec_for(tmp_path), {"run.max_failures": 0})
    pipe.join()
    message = str(raised.value)
    assert f"on {socket.gethostname()}" in message
    assert "reader.py" in message
    result = lr_result(tmp_path)
    assert result["status"] == "failed"
    assert result["error"]["stuck"][0]["stack"] in message


def lr_result(tmp_path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((tmp_path / "runs/job/result.json").read_text())
    return document


def test_a_worker_that_is_stopped_is_named_by_the_driver_and_the_job_goes_on(tmp_path: Path) -> None:
    solution = write_parts(tmp_path / "data", [3000, 3000])
    stopped: list[int] = []

    def stop_one() -> None:
        wait_for(lambda: list((tmp_path / "runs/job/checkpoints").glob("epoch*")))
        pid = wait_for(train_workers)[-1]
        os.kill(pid, signal.SIGSTOP)
        stopped.append(pid)

    thread = threading.Thread(target=stop_one)
    thread.start()
    solver = {"name": "sgd", "epochs": 400, "global_batch_size": 1500, "early_stop": None}
    run = lr.train(spec_for(tmp_path, solver=solver), {"run.checkpoint_every_s": 0.5})
    thread.join()
    (report,) = run.result["stuck"]
    assert report["pid"] == stopped[0]
    assert report["process_state"] == "T (stopped)"
    assert report["stack"] is None
    assert "no sign of life for" in report["how"]
    assert process_state(stopped[0]) in (None, "Z (zombie)")
    assert run.result["rows"]["train"] == len(solution["y"])
    here = {"name": "undisturbed", "scaling.num_workers": 0}
    undisturbed = lr.train(spec_for(tmp_path, solver=solver), here)
    np.testing.assert_allclose(run.model.coef_, undisturbed.model.coef_, rtol=1e-9)
    assert undisturbed.result["stuck"] == []
