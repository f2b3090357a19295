"""A head that is lost ends the driver with a result and the right exit code, before Ray ends it without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.nodes import Nodes
from tests.parts import wait_for, write_parts

# The watch may end the process, so each of these has one of its own.
_HEAD = """
import signal, socket, sys, time
from linreg_dist.errors import ClusterError
from linreg_dist.run.watch import head as head_watch
from linreg_dist.run.watch.interrupts import interruptible

head_watch._LOOK_EVERY_S = 0.05
def listen(port=0):
    head = socket.socket()
    head.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    head.bind(("127.0.0.1", port))
    head.listen(1000)  # more than there will be looks: nobody accepts them
    return head
head = listen()
port = head.getsockname()[1]
last_words = lambda error: print("last words:", error)
watch = head_watch.HeadWatch(f"127.0.0.1:{port}", last_words, patience_s=PATIENCE)
time.sleep(0.3)
head.close()
"""

_GOES_ON = """
try:
    with interruptible() as interruption, watch.interrupts(interruption):
        time.sleep(60)
except ClusterError as error:
    watch.close()
    print("interrupted:", error)
"""

_CANNOT_BE_INTERRUPTED = """
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
time.sleep(60)
"""

_COMES_BACK = """
with interruptible() as interruption, watch.interrupts(interruption):
    time.sleep(PATIENCE / 4)
    head = listen(port)
    time.sleep(2 * PATIENCE)
watch.close()
print("not lost:", watch.lost)
"""


def play(what: str, patience_s: float) -> subprocess.CompletedProcess[str]:
    program = (_HEAD + what).replace("PATIENCE", str(patience_s))
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False
    )


def test_the_main_thread_is_interrupted_before_ray_ends_the_process() -> None:
    done = play(_GOES_ON, 8.0)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("interrupted: the head of the Ray cluster at 127.0.0.1:")
    assert "last words" not in done.stdout


def test_what_cannot_be_interrupted_ends_with_last_words_and_the_exit_code() -> None:
    done = play(_CANNOT_BE_INTERRUPTED, 2.0)
    assert done.returncode == 4, done.stderr
    assert done.stdout.startswith("last words: the head of the Ray cluster at 127.0.0.1:")


def test_a_head_that_comes_back_in_time_is_not_lost() -> None:
    done = play(_COMES_BACK, 4.0)
    assert (done.returncode, done.stdout) == (0, "not lost: None\n"), done.stderr


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_cluster_that_goes_while_a_job_starts_leaves_a_result(tmp_path: Path) -> None:
    """Ray would end the command with 1 and no result, whatever Python waits for."""
    write_parts(tmp_path / "data", [900, 900])
    spec = {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y"},
        "solver": {"name": "sgd"},
        "scaling": {"num_workers": 2},
        "run": {"storage_path": str(tmp_path / "runs")},
    }
    (tmp_path / "job.json").write_text(json.dumps(spec))
    nodes = Nodes()
    try:
        nodes.start()
        command = [sys.executable, "-m", "linreg_dist", "train", str(tmp_path / "job.json")]
        with subprocess.Popen(
            [*command, "--address", nodes.address],
            env={**os.environ, "RAY_gcs_rpc_server_reconnect_timeout_s": "24"},
            stderr=subprocess.PIPE,
            text=True,
        ) as driver:
            try:
                wait_for((tmp_path / "runs/job/.ray").exists)  # Ray Train has begun
                nodes.kill_all()
                _, told = driver.communicate(timeout=120)
            finally:
                driver.kill()  # one that has ended, unless the test has failed
    finally:
        nodes.stop()
    assert driver.returncode == 4, told
    assert "start the same job again to continue" in told
    result = json.loads((tmp_path / "runs/job/result.json").read_text())
    assert result["status"] == "failed"
    assert (result["error"]["type"], result["error"]["exit_code"]) == ("ClusterError", 4)
