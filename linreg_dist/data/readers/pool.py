"""`ReaderPool`: as many reader processes as a share of cores, each used by one thread of the caller at a
time.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from linreg_dist.data.readers.process import BrokenTaskError, LostReaderError, ReaderProcess
from linreg_dist.errors import RunFailedError
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_TRIES = 3


class ReaderPool:
    """Applies a task to row groups in reader processes; safe to use from several threads.

    A reader that is lost costs its row group another try, in a new process, and a warning that names it. The
    results are those of the same calls in this process, in whatever order they are made.

    Args:
        task: as in `ReaderProcess`.
        size: how many processes, at most; one starts when it is needed.
        where: says where a row group is, for messages.

    """

    def __init__(self, task: Any, size: int, where: Callable[[int], str]) -> None:
        self._task, self._where = task, where
        self._free = threading.Semaphore(size)
        self._lock = threading.Lock()
        self._idle: list[ReaderProcess] = []
        self._all: set[ReaderProcess] = set()
        self._is_closed = False

    def apply(self, index: int) -> Any:
        """Return what the task makes of a row group; waits for a process to be free.

        Raises:
            LinregDistError: what the task raised.
            RunFailedError: the process was lost each time, or the pool is closed.

        """
        with self._free:
            for tried in range(1, _TRIES + 1):
                reader = self._taken()
                try:
                    result = reader.apply(index, is_again=tried > 1)
                except LostReaderError as error:
                    self._forget(reader)
                    self._refuse_if_closed()
                    if tried == _TRIES:
                        raise _failed(
                            f"reading {self._where(index)}: the reader process {error}, {_TRIES} times in a "
                            "row; smaller row groups or fewer threads (scaling.resources_per_worker) take "
                            "less memory, and LINREG_DIST_READERS=never reads in the calling process"
                        ) from None
                    logger.warning(
                        "reading %s: the reader process %d %s; reading it again",
                        self._where(index),
                        reader.pid,
                        error,
                    )
                except BrokenTaskError as error:
                    self._put_back(reader)
                    raise RuntimeError(f"a reader process failed:\n{error}") from None
                except BaseException:
                    self._put_back(reader)
                    raise
                else:
                    self._put_back(reader)
                    return result
        raise AssertionError("unreachable")

    def close(self) -> None:
        """End all processes; calls that wait for one raise."""
        with self._lock:
            self._is_closed = True
            readers, self._all = self._all, set()
            self._idle = []
        for reader in readers:
            reader.kill()
        for reader in readers:
            reader.stop()

    @property
    def pids(self) -> list[int]:
        """The ids of the processes that are there."""
        with self._lock:
            return [reader.pid for reader in self._all]

    def _taken(self) -> ReaderProcess:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return self._started()

    def _started(self) -> ReaderProcess:
        self._refuse_if_closed()
        reader = ReaderProcess(self._task)
        with self._lock:
            if not self._is_closed:
                self._all.add(reader)
                return reader
        reader.stop()
        raise self._closed()

    def _put_back(self, reader: ReaderProcess) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(reader)

    def _forget(self, reader: ReaderProcess) -> None:
        with self._lock:
            ours = reader in self._all
            self._all.discard(reader)
        if ours:
            reader.stop()

    def _refuse_if_closed(self) -> None:
        with self._lock:
            if self._is_closed:
                raise self._closed()

    def _closed(self) -> RunFailedError:
        return _failed("the reader processes have been ended")


def _failed(message: str) -> RunFailedError:
    error = RunFailedError(message)
    error.alone = True  # other workers have readers of their own
    return error
