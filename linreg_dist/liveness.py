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
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

COMPUTING_SHARE = 0.1  # of one core: what threads in the background take is far below, any arithmetic above
RUNNABLE_SHARE = (
    0.5  # of the time: a thread that is kept from computing by other programs, and none that polls
)


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
        thread_clocks: by thread, the seconds in which it ran or waited for a core.

    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        cpu_clock: Callable[[], float] = time.process_time,
        thread_clocks: Callable[[], dict[int, float]] = lambda: runnable_seconds(),
    ) -> None:
        self._clock, self._cpu_clock, self._thread_clocks = clock, cpu_clock, thread_clocks
        self._numbers = itertools.count()
        self._at: dict[int, tuple[str, float]] = {}
        self._waits: dict[int, str] = {}
        self._last = "starting", clock()
        self._seen: deque[tuple[float, float, dict[int, float]]] = deque()

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
        Nor is one with a thread that would have computed for half of them, had other programs let it. A read
        that blocks does neither.
        """
        now = self._clock()
        self._seen.append((now, self._cpu_clock(), self._thread_clocks()))
        while len(self._seen) > 1 and self._seen[1][0] <= now - window_s:
            self._seen.popleft()
        idle_s = now - self._last[1]
        if not self._waits and now - self._seen[0][0] >= window_s and self._has_computed():
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

    def _has_computed(self) -> bool:
        """Return whether this process has computed, or tried to, since the first look that is kept."""
        (since, cpu_then, threads_then), (now, cpu, threads) = self._seen[0], self._seen[-1]
        runnable_s = max(
            (threads[i] - threads_then[i] for i in threads.keys() & threads_then.keys()), default=0.0
        )
        return cpu - cpu_then > COMPUTING_SHARE * (now - since) or runnable_s > RUNNABLE_SHARE * (now - since)


def runnable_seconds() -> dict[int, float]:
    """Return for each thread of this process the seconds in which it ran or was kept waiting for a core.

    They are those of ``/proc/self/task/*/schedstat``; a system that does not count them has none here.
    """
    found = {}
    with suppress(OSError):
        for thread in Path("/proc/self/task").iterdir():
            with suppress(OSError, ValueError):  # it has ended meanwhile
                ran_ns, waited_ns, _ = map(int, (thread / "schedstat").read_text().split())
                found[int(thread.name)] = (ran_ns + waited_ns) / 1e9
    return found


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
