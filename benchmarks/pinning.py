"""Keep each Ray Train worker on one core, from outside.

Ray limits how many workers are placed, not how much of the machine each of them uses. "Two workers against
one" means something only when one worker cannot borrow the second core.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType

_TITLE = "ray::RayTrainWorker"
_SEARCH_EVERY_S = 0.2
_REPIN_FOR_S = 5.0


class PinnedWorkers:
    """While open, finds the train workers below this process and pins each to the next core in turn.

    Args:
        num_workers: how many there will be; the search, which costs some milliseconds each time, ends then.
    """

    def __init__(self, num_workers: int) -> None:
        self.pinned: dict[int, int] = {}
        self._num_workers = num_workers
        self._cores = sorted(os.sched_getaffinity(0))
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pin-workers", daemon=True)

    def __enter__(self) -> PinnedWorkers:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()

    def _watch(self) -> None:
        while len(self.pinned) < self._num_workers:
            if self._closing.wait(_SEARCH_EVERY_S):
                return
            for pid in _train_workers(os.getpid()):
                if pid not in self.pinned:
                    self.pinned[pid] = self._cores[len(self.pinned) % len(self._cores)]
                    _pin(pid, self.pinned[pid])
        # A thread that another one was starting while we looked has escaped: look again for a while.
        deadline = time.monotonic() + _REPIN_FOR_S
        while time.monotonic() < deadline and not self._closing.wait(_SEARCH_EVERY_S):
            for pid, core in self.pinned.items():
                _pin(pid, core)


def _pin(pid: int, core: int) -> None:
    """Pin every thread of a process: the kernel's unit is the thread, which a new one inherits."""
    try:
        threads = [int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir()]
    except FileNotFoundError:
        return  # it has just ended
    for thread in threads:
        try:
            if os.sched_getaffinity(thread) != {core}:
                os.sched_setaffinity(thread, {core})
        except ProcessLookupError:
            continue


def _train_workers(ancestor: int) -> list[int]:
    """Return the Ray Train workers among the descendants of a process, by process id."""
    parents: dict[int, int] = {}
    workers = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            status = (entry / "stat").read_text()
            title = (entry / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        # The second field is the name in brackets, which may itself hold blanks and brackets.
        parents[int(entry.name)] = int(status.rpartition(")")[2].split()[1])
        if title.startswith(_TITLE.encode()):
            workers.append(int(entry.name))
    return sorted(pid for pid in workers if _descends(pid, ancestor, parents))


def _descends(pid: int, ancestor: int, parents: dict[int, int]) -> bool:
    while pid in parents:
        if pid == ancestor:
            return True
        pid = parents[pid]
    return False
