"""Processes of this machine: who descends from whom, Ray's train workers among them, ended or held back."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def descendants(pids: Sequence[int] | None = None) -> list[int]:
    """Return the processes below these, below this one unless told."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):  # it may have ended meanwhile
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    todo = [os.getpid()] if pids is None else list(pids)
    while todo:
        more = children.get(todo.pop(), [])
        found += more
        todo += more
    return found


def train_workers(pids: Sequence[int] | None = None) -> list[int]:
    """Return Ray's train workers below these processes, below this one unless told."""

    def title(pid: int) -> str:
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
        except OSError:
            return ""

    return [pid for pid in descendants(pids) if title(pid).startswith("ray::RayTrainWorker")]


def send(pids: Sequence[int], number: int) -> None:
    """Send a signal to those that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill(pids: Sequence[int]) -> None:
    """Kill those that are still there."""
    send(pids, signal.SIGKILL)


@contextlib.contextmanager
def meanwhile(act: Callable[[threading.Event], object]) -> Iterator[None]:
    """Do something again and again in a thread while the block runs.

    Args:
        act: does it once; is given what is set at the end, to wait for between two times.

    """
    done = threading.Event()

    def repeat() -> None:
        while not done.is_set():
            act(done)

    with ThreadPoolExecutor(1) as pool:
        repeating = pool.submit(repeat)
        try:
            yield
        finally:
            done.set()
            repeating.result()


@contextlib.contextmanager
def braked(pids: Callable[[], Sequence[int]]) -> Iterator[None]:
    """Let processes run a tenth of the time, so that they last as long as a test needs anywhere."""

    def brake(done: threading.Event) -> None:
        held = list(pids())
        send(held, signal.SIGSTOP)
        done.wait(0.45)
        send(held, signal.SIGCONT)
        done.wait(0.05)

    with meanwhile(brake):
        yield
