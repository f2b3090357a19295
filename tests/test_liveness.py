"""When a process is taken to be idle: the rule that names stuck workers."""

from __future__ import annotations

import subprocess
import sys
import threading
import time

from linreg_dist.liveness import Liveness, process_start, process_state, runnable_seconds, stacks

LIMIT_S = 100.0


class Time:
    """Clocks that a test moves."""

    def __init__(self) -> None:
        self.now, self.cpu = 0.0, 0.0
        self.threads = {1: 0.0, 2: 0.0, 3: 0.0}
        self.liveness = Liveness(
            clock=lambda: self.now, cpu_clock=lambda: self.cpu, thread_clocks=lambda: dict(self.threads)
        )

    def pass_by(self, seconds: float, *, cores: float = 0.01, runnable: tuple[float, ...] = ()) -> None:
        """Let time pass, threads runnable for shares of it, and look every two seconds as the watch does."""
        for _ in range(round(seconds / 2)):
            self.now += 2.0
            self.cpu += 2.0 * cores
            for thread, share in enumerate(runnable, 1):
                self.threads[thread] += 2.0 * share
            self.liveness.look(LIMIT_S)


def test_a_read_that_blocks_is_idle_for_as_long_as_it_blocks() -> None:
    clock = Time()
    with clock.liveness.doing("reading part-3"):
        clock.pass_by(60)
        assert clock.liveness.look(LIMIT_S).idle_s == 60
        clock.pass_by(60)
        seen = clock.liveness.look(LIMIT_S)
    assert (seen.idle_s, seen.waiting, seen.doing) == (120, False, "reading part-3, for 120 s")
    assert clock.liveness.look(LIMIT_S).idle_s == 0, "its end is progress"


def test_slow_reads_that_end_are_progress() -> None:
    clock = Time()
    for number in range(5):
        with clock.liveness.doing(f"reading row group {number}"):
            clock.pass_by(LIMIT_S - 2)
            assert clock.liveness.look(LIMIT_S).idle_s < LIMIT_S


def test_one_thread_that_gets_on_shows_that_the_process_does() -> None:
    clock = Time()
    with clock.liveness.doing("reading part-1"):
        for _ in range(10):
            clock.pass_by(20)
            clock.liveness.mark("step")
        seen = clock.liveness.look(LIMIT_S)
    assert seen.idle_s == 0
    assert seen.doing == "reading part-1, for 200 s", "the oldest is what to name, should it stop"


def test_waiting_for_others_is_told_apart() -> None:
    clock = Time()
    with clock.liveness.waiting("waiting for the other workers"):
        clock.pass_by(500)
        seen = clock.liveness.look(LIMIT_S)
    assert seen.waiting
    assert seen.doing == "waiting for the other workers"
    seen = clock.liveness.look(LIMIT_S)
    assert (seen.waiting, seen.idle_s) == (False, 0)


def test_a_process_that_computes_without_a_mark_is_not_idle() -> None:
    clock = Time()
    clock.pass_by(1000, cores=0.3)
    assert clock.liveness.look(LIMIT_S).idle_s == 0


def test_computing_before_a_read_blocks_does_not_hide_that_it_does() -> None:
    clock = Time()
    clock.pass_by(400, cores=2.0)
    with clock.liveness.doing("reading"):
        clock.pass_by(LIMIT_S)
        assert clock.liveness.look(LIMIT_S).idle_s >= LIMIT_S


def test_a_thread_that_other_programs_keep_from_computing_is_not_idle() -> None:
    clock = Time()
    with clock.liveness.doing("compiling"):
        clock.pass_by(400, cores=0.04, runnable=(0.01, 0.95))
        assert clock.liveness.look(LIMIT_S).idle_s == 0


def test_threads_that_poll_on_a_busy_machine_do_not_hide_a_read_that_blocks() -> None:
    clock = Time()
    with clock.liveness.doing("reading"):
        clock.pass_by(400, cores=0.04, runnable=(0.3, 0.3, 0.3))
        assert clock.liveness.look(LIMIT_S).idle_s == 400


def test_the_system_says_how_long_a_thread_wanted_a_core() -> None:
    before, began = runnable_seconds(), time.monotonic()
    while time.monotonic() < began + 0.5:
        pass
    me = threading.get_native_id()
    wanted = runnable_seconds()[me] - before[me]
    assert 0.45 <= wanted <= time.monotonic() - began + 0.05


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
