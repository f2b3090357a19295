"""What the driver alone can see: workers that say nothing any more, and workers that wait for each other.

Processes that only sleep stand for the workers, and the test speaks for them on the board.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from linreg_dist.jobspec import load_spec
from linreg_dist.liveness import process_start
from linreg_dist.run.watch.workers import GroupWatch
from linreg_dist.training.beats import Beat

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]

LIMIT_S = 4.0


@pytest.fixture
def watch() -> Iterator[GroupWatch]:
    spec = {
        "data": {"path": "a", "target": "y"},
        "scaling": {"num_workers": 2},
        "run": {"stuck_after_s": LIMIT_S},
    }
    watch = GroupWatch(load_spec(spec))
    yield watch
    watch.close()


@pytest.fixture
def workers() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes = [subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) for _ in range(2)]
    yield processes
    for process in processes:
        process.kill()
        process.wait()


def beat_of(process: subprocess.Popen[bytes], rank: int) -> Beat:
    import ray

    return Beat(
        group="first",
        rank=rank,
        world_size=2,
        host=socket.gethostname(),
        ip="10.0.0.1",
        node_id=ray.get_runtime_context().get_node_id(),
        pid=process.pid,
        started=process_start(process.pid) or "",
        doing="reading part-7",
        waiting=False,
        idle_s=0.0,
        stack_file="/nowhere",
    )


def until(condition: Callable[[], Any], speak: Callable[[], Any] = lambda: None) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        speak()
        time.sleep(0.3)


def test_a_worker_that_is_silent_is_named_and_ended_and_others_are_not(watch, workers, caplog) -> None:
    beats = [beat_of(process, rank) for rank, process in enumerate(workers)]
    os.kill(workers[1].pid, signal.SIGSTOP)
    watch.board.beat.remote(beats[1])
    with caplog.at_level(logging.WARNING):
        until(lambda: watch.reports, lambda: watch.board.beat.remote(beats[0]))
    (report,) = watch.reports
    assert (report["rank"], report["pid"]) == (1, workers[1].pid)
    assert report["process_state"] == "T (stopped)"
    assert report["doing"] == "reading part-7"
    assert workers[1].wait(10) == -signal.SIGKILL
    assert workers[0].poll() is None
    assert f"rank 1 of 2 on {socket.gethostname()} (10.0.0.1" in caplog.text
    assert watch.group_sizes == [2]


def test_a_worker_that_has_died_is_not_called_stuck(watch, workers) -> None:
    import ray

    watch.board.beat.remote(beat_of(workers[0], 0))
    workers[0].kill()
    workers[0].wait()
    until(lambda: not ray.get(watch.board.look.remote())[0])  # forgotten, once its silence was looked into
    assert watch.reports == []


def test_workers_that_all_wait_for_each_other_are_ended_with_the_nodes_to_look_at(watch, workers) -> None:
    waiting = [
        replace(beat_of(process, rank), waiting=True, idle_s=LIMIT_S + 1, doing="waiting for the others")
        for rank, process in enumerate(workers)
    ]
    until(lambda: watch.reports, lambda: [watch.board.beat.remote(beat) for beat in waiting])
    (report,) = watch.reports
    assert "all 2 workers have been waiting for each other" in report["how"]
    assert "rank 1 on" in report["how"]
    assert [process.wait(10) for process in workers] == [-signal.SIGKILL] * 2


def test_one_that_waits_for_a_slow_one_is_left_alone(watch, workers) -> None:
    import ray

    slow = beat_of(workers[0], 0)
    waits = replace(beat_of(workers[1], 1), waiting=True, idle_s=10 * LIMIT_S)
    ended = time.monotonic() + 3 * LIMIT_S
    until(
        lambda: time.monotonic() > ended,
        lambda: [watch.board.beat.remote(beat) for beat in (slow, waits)],
    )
    assert watch.reports == []
    assert len(ray.get(watch.board.look.remote())[0]) == 2
    assert [process.poll() for process in workers] == [None, None]
