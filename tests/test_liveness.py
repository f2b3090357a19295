"""When a process is taken to be idle: the rule that names stuck workers."""

from __future__ import annotations

import subprocess
import sys
import threading

from linreg_dist.liveness import Liveness, process_start, process_state, stacks

LIMIT_S = 100.0


class Time:
    """Clocks that a test moves."""

    def __init__(self) -> None:
        self.now, self.cpu = 0.0, 0.0
        self.liveness = Liveness(clock=lambda: self.now, cpu_clock=lambda: self.cpu)

    def pass_by(self, seconds: float, *, cores: float = 0.01) -> None:
        """Let time pass, and look every two seconds as the watch does."""
        for _ in range(round(seconds / 2)):
            self.now += 2.0
            self.cpu += 2.0 * cores
            self.liveness.look(LIMIT_S)


def test_a_read_that_blocks_is_idle_for_as_long_as_it_blocks() -> None:
    time = Time()
    with time.liveness.doing("reading part-3"):
        time.pass_by(60)
        assert time.liveness.look(LIMIT_S).idle_s == 60
        time.pass_by(60)
        seen = time.liveness.look(LIMIT_S)
    assert (seen.idle_s, seen.waiting, seen.doing) == (120, False, "reading part-3, for 120 s")
    assert time.liveness.look(LIMIT_S).idle_s == 0, "its end is progress"


def test_slow_reads_that_end_are_progress() -> None:
    time = Time()
    for number in range(5):
        with time.liveness.doing(f"reading row group {number}"):
            time.pass_by(LIMIT_S - 2)
            assert time.liveness.look(LIMIT_S).idle_s < LIMIT_S


def test_one_thread_that_gets_on_shows_that_the_process_does() -> None:
    time = Time()
    with time.liveness.doing("reading part-1"):
        for _ in range(10):
            time.pass_by(20)
            time.liveness.mark("step")
        seen = time.liveness.look(LIMIT_S)
    assert seen.idle_s == 0
    assert seen.doing == "reading part-1, for 200 s", "the oldest is what to name, should it stop"


def test_waiting_for_others_is_told_apart() -> None:
    time = Time()
    with time.liveness.waiting("waiting for the other workers"):
        time.pass_by(500)
        seen = time.liveness.look(LIMIT_S)
    assert seen.waiting
    assert seen.doing == "waiting for the other workers"
    seen = time.liveness.look(LIMIT_S)
    assert (seen.waiting, seen.idle_s) == (False, 0)


def test_a_process_that_computes_without_a_mark_is_not_idle() -> None:
    time = Time()
    time.pass_by(1000, cores=0.3)
    assert time.liveness.look(LIMIT_S).idle_s == 0


def test_computing_before_a_read_blocks_does_not_hide_that_it_does() -> None:
    time = Time()
    time.pass_by(400, cores=2.0)
    with time.liveness.doing("reading"):
        time.pass_by(LIMIT_S)
        assert time.liveness.look(LIMIT_S).idle_s >= LIMIT_S


def test_the_stacks_of_all_other_threads_are_shown_by_name_the_chosen_one_first() -> None:
    hold = threading.Event()

    def wait_here() -> None:
        hold.wait(30)

    threads = [threading.Thread(target=wait_here, name=name) for name in ("alpha", "omega")]
    for thread in threads:
        thread.start()
    try:
        text = stacks(threads[1].ident)
    finally:
        hold.set()
        for thread in threads:
            thread.join()
    assert text.startswith("thread omega:")
    assert "thread alpha:" in text
    assert text.count("in wait_here") == 2


def test_a_process_is_known_by_its_start_and_its_state() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        started = process_start(process.pid)
        assert started is not None
        assert process_start(process.pid) == started
        assert process_state(process.pid) is not None
    finally:
        process.communicate()
    assert process_start(process.pid) is None
    assert process_state(process.pid) is None
