"""Liveness of this process: what it is doing, and for how long it has made no progress.

Code that may block says so: `doing` around a read or a write, `waiting` around anything that waits for
others, `mark` where a piece of work is done. A watcher's thread asks `Liveness.look`. There is one instance
for the process, because reads happen on threads that know nothing of who watches them.
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

COMPUTING_SHARE = 0.1  # of one core: what threads in the background take is far below, any arithmetic above


@dataclass(frozen=True)
class Sighting:
    """What was seen of a process.

    Attributes:
        doing: the oldest thing it is still at, or the last it has done.
        waiting: whether it waits for others.
        idle_s: seconds since it last got anywhere.

    """

    doing: str
    waiting: bool
    idle_s: float


class Liveness:
    """Signs of life of one process; safe to use from several threads.

    Args:
        clock, cpu_clock: seconds on the wall and of all cores.

    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
    ) -> None:
        self._clock, self._cpu_clock = clock, cpu_clock
        self._numbers = itertools.count()
        self._at: dict[int, tuple[str, float]] = {}
        self._waits: dict[int, str] = {}
        self._last = "starting", clock()
        self._cpu: deque[tuple[float, float]] = deque()

    @property
    def is_at_work(self) -> bool:
        """Whether something that it said to be `doing` has not ended."""
        return bool(self._at)

    def mark(self, done: str) -> None:
        """Say that a piece of work is done."""
        self._last = done, self._clock()

    @contextmanager
    def doing(self, what: str) -> Iterator[None]:
        """Say that a piece of work is under way that may take long; its end is progress."""
        number = next(self._numbers)
        self._at[number] = what, self._clock()
        self.mark(what)
        try:
            yield
        finally:
            del self._at[number]
            self.mark(what)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say that this process waits for others, such as slower workers; that is not being stuck."""
        number = next(self._numbers)
        self._waits[number] = what
        self.mark(what)
        try:
            yield
        finally:
            del self._waits[number]
            self.mark(what)

    def look(self, window_s: float) -> Sighting:
        """Return what is going on; to be called every few seconds, by one thread.

        Work that marks nothing for a while, such as solving a large system, shows by the processor time it
        takes: a process that used more than a tenth of a core over the last ``window_s`` seconds is not idle.
        A read that blocks uses none.
        """
        now, cpu = self._clock(), self._cpu_clock()
        self._cpu.append((now, cpu))
        while len(self._cpu) > 1 and self._cpu[1][0] <= now - window_s:
            self._cpu.popleft()
        since, cpu_then = self._cpu[0]
        idle_s = now - self._last[1]
        if not self._waits and now - since >= window_s and cpu - cpu_then > COMPUTING_SHARE * (now - since):
            idle_s = 0.0
        waits = list(self._waits.values())
        under_way = sorted(self._at.values(), key=lambda item: item[1])
        if waits:
            doing = waits[0]
        elif under_way:
            doing = f"{under_way[0][0]}, for {now - under_way[0][1]:.0f} s"
        else:
            doing = f"after {self._last[0]}"
        return Sighting(doing, bool(waits), idle_s)


process = Liveness()
"""The signs of life of this process."""


def stacks(first: int | None = None) -> str:
    """Return the Python stacks of all threads but the calling one, as text.

    Args:
        first: the identifier of the thread to begin with.

    """
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    frames = {i: frame for i, frame in sys._current_frames().items() if i != threading.get_ident()}
    order = sorted(frames, key=lambda ident: (ident != first, names.get(ident, "")))
    return "\n".join(
        f"thread {names.get(ident, ident)}:\n{''.join(traceback.format_stack(frames[ident])).rstrip()}"
        for ident in order
    )


def process_start(pid: int) -> str | None:
    """Return when a process of this machine started, in ticks since boot; None if there is none."""
    fields = _stat_fields(pid)
    return None if fields is None or fields[0] in "ZX" else fields[19]


def parent_pid(pid: int) -> int | None:
    """Return the parent of a process of this machine; None if there is no such process."""
    fields = _stat_fields(pid)
    return None if fields is None else int(fields[1])


def process_exists(pid: int) -> bool:
    """Return whether a process of this machine goes on, even where ``/proc`` hides it from this user."""
    fields = _stat_fields(pid)
    if fields is not None:
        return fields[0] not in "ZX"
    try:
        os.kill(pid, 0)  # sends nothing: it only asks
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def process_state(pid: int) -> str | None:
    """Return a process's state as ``/proc`` spells it, such as ``T (stopped)``; None if there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("State:")), None)


def _stat_fields(pid: int) -> list[str] | None:
    """Return ``/proc/<pid>/stat`` from field 3 on; the name before may hold spaces and parentheses."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
