"""A process that reads by itself and gets nowhere says so and ends: `linreg_dist.run.watch.this_process`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml

from linreg_dist import liveness
from linreg_dist.errors import ClusterError, RunFailedError, StorageError
from linreg_dist.run.watch.interrupts import interruptible, stop_notice_interrupts
from linreg_dist.run.watch.this_process import watch_this_process
from linreg_dist.storage import retried
from linreg_dist.verbs.train import train
from tests.parts import write_parts

LIMIT_S = 1.0


def start(folder: Path, **run: float) -> subprocess.Popen[str]:
    spec = {
        "name": "job",
        "data": {"path": str(folder / "data"), "target": "y", "validation": {"method": "none"}},
        "run": {"storage_path": str(folder / "runs"), **run},
        "outputs": {"report": False},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(spec))
    command = [sys.executable, "-m", "linreg_dist", "train", str(folder / "job.yaml"), "--quiet"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def block(file: Path, begun: Path) -> Path:
    """Once the job has begun, put a named pipe in the place of a file: whoever opens it waits for ever."""
    aside = file.with_name("_aside")  # hidden files are no data
    deadline = time.monotonic() + 180
    while not begun.exists():
        assert time.monotonic() < deadline
        time.sleep(0.002)  # so few rows are soon read
    file.rename(aside)
    os.mkfifo(file)
    return aside


@pytest.mark.slow
def test_a_read_that_blocks_ends_the_command_with_the_stacks_and_the_same_command_continues(tmp_path) -> None:
    write_parts(tmp_path / "data", [800, 800, 800])
    process = start(tmp_path, stuck_after_s=3.0)
    file = tmp_path / "data" / "part-1.parquet"
    aside = block(file, tmp_path / "runs/job/job.yaml")
    _, printed = process.communicate(timeout=120)
    assert process.returncode == 1, printed
    assert f"rank 0 of 1 on {socket.gethostname()}" in printed
    result = json.loads((tmp_path / "runs/job/result.json").read_text())
    assert result["status"] == "failed"
    (report,) = result["error"]["stuck"]
    assert "part-1.parquet" in report["doing"]
    assert "reader.py" in report["stack"], "the thread that reads"
    assert "store.py" in report["stack"], "and the one that waits for it"
    assert report["stack"] in printed

    aside.replace(file)
    again = start(tmp_path, stuck_after_s=3.0)
    _, printed = again.communicate(timeout=120)
    assert again.returncode == 0, printed


@pytest.mark.slow
def test_time_is_over_also_where_a_read_blocks_and_a_shell_put_the_job_in_the_background(tmp_path) -> None:
    write_parts(tmp_path / "data", [800, 800])
    # What a shell script starts with & ignores SIGINT.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = start(tmp_path, timeout_s=6.0)
    finally:
        signal.signal(signal.SIGINT, before)
    block(tmp_path / "data" / "part-0.parquet", tmp_path / "runs/job/job.yaml")
    _, printed = process.communicate(timeout=120)
    assert process.returncode == 1, printed
    assert "run.timeout_s of 6 s is over" in printed


def test_a_read_that_blocks_after_the_fit_costs_the_diagnostics_and_not_the_run(
    tmp_path, monkeypatch
) -> None:
    write_parts(tmp_path / "data", [800, 800])

    def blocked(subject: object, run_s: float) -> None:
        with liveness.process.doing("reading part-1"):
            threading.Event().wait()

    monkeypatch.setattr("linreg_dist.run.ending.diagnostics.diagnose", blocked)
    run = train(
        {
            "name": "job",
            "data": {"path": str(tmp_path / "data"), "target": "y"},
            "run": {"storage_path": str(tmp_path / "runs"), "stuck_after_s": LIMIT_S},
        }
    )
    assert run.result["status"] == "succeeded"
    reason = run.result["diagnostics_reason"]
    assert "reading part-1" in reason
    assert "File " not in reason, "the stacks are in the log"


def test_a_wait_that_does_not_end_is_interrupted_also_in_its_cleaning_up() -> None:
    cleaned = []

    def work() -> None:
        try:
            threading.Event().wait()
        finally:
            cleaned.append("begun")
            threading.Event().wait()  # as a pool waits for its threads

    with (
        pytest.raises(RunFailedError, match=r"no progress for \d+ s \(run.stuck_after_s is 1\)") as raised,
        interruptible() as interruption,
        watch_this_process(LIMIT_S, interruption),
        liveness.process.doing("reading part-7"),
    ):
        work()
    assert cleaned == ["begun"]
    assert "reading part-7" in str(raised.value)
    assert "test_local_watch.py" in raised.value.stuck[0]["stack"]


def test_work_that_goes_on_is_left_alone_and_nothing_is_interrupted_afterwards() -> None:
    with interruptible() as interruption, watch_this_process(LIMIT_S, interruption):
        for number in range(20):
            time.sleep(0.1)
            liveness.process.mark(f"row group {number}")
    interruption.because(RunFailedError("too late"))
    assert interruption.reason is None


def test_a_store_that_is_tried_again_and_a_long_listing_are_not_stuck(monkeypatch) -> None:
    monkeypatch.setenv("LINREG_DIST_STORAGE_RETRY_S", str(2.5 * LIMIT_S))

    def refuse() -> None:
        raise OSError("AWS Error SLOW_DOWN during GetObject operation: Please reduce your request rate.")

    with interruptible() as interruption, watch_this_process(LIMIT_S, interruption):
        with pytest.raises(StorageError):
            retried(refuse, "read", "s3://lab/data")
        with liveness.process.waiting("listing s3://lab/data"):
            time.sleep(2 * LIMIT_S)
    assert interruption.reason is None


def test_a_user_s_own_interrupt_stays_what_it_is() -> None:
    with pytest.raises(KeyboardInterrupt), interruptible():
        signal.raise_signal(signal.SIGINT)


def test_what_is_gone_after_a_notice_to_stop_is_no_reason_of_its_own() -> None:
    """A job server stops a job's shell too, and its supervisor ends, before the job has cleaned up."""

    def stopped() -> None:
        with interruptible() as interruption:
            try:
                signal.raise_signal(signal.SIGTERM)
            finally:
                interruption.because(ClusterError("the head is gone"))

    def left_alone() -> None:
        with interruptible() as interruption:
            interruption.because(ClusterError("the head is gone"))
            time.sleep(60)

    with stop_notice_interrupts(), pytest.raises(KeyboardInterrupt):
        stopped()
    with pytest.raises(ClusterError, match="gone"):
        left_alone()


_PAUSED = """
import sys
from linreg_dist.run.watch.interrupts import interruptible
from linreg_dist.run.watch.this_process import watch_this_process

with interruptible() as interruption, watch_this_process(1.0, interruption):
    print("up", flush=True)
    sys.stdin.readline()
"""


def test_a_process_that_was_stopped_for_a_while_is_not_stuck() -> None:
    command = [sys.executable, "-c", _PAUSED]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(3 * LIMIT_S)
        process.send_signal(signal.SIGCONT)
        process.communicate("\n", timeout=30)
    assert process.returncode == 0
