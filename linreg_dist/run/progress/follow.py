"""Watch a run's ``metrics.jsonl`` grow and hand each line to a display, from wherever the file is written."""

from __future__ import annotations

import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from linreg_dist.documents import Event
from linreg_dist.errors import LinregDistError
from linreg_dist.storage import TENSORS_BYTES, ObjectPath, no_patience, open_regular
from linreg_dist.wording.events import parse_event
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

SECONDS_BETWEEN_LOOKS = 0.2
SECONDS_BETWEEN_REQUESTS = 2.0  # where the file is an object, which is rewritten periodically


class EventSink(Protocol):
    """What takes the events: a `ProgressDisplay`, or anything else with this method."""

    def event(self, event: Event) -> None:
        """Take one line of ``metrics.jsonl``."""


@contextmanager
def follow_metrics(
    path: str | Path | ObjectPath, display: EventSink, *, poll_s: float = SECONDS_BETWEEN_LOOKS
) -> Iterator[None]:
    """Feed `display` the lines of the file at `path` while the ``with`` block runs, the last one after it.

    The file need not exist yet. A line counts once its newline is there. A file that is replaced or cut short
    is read from its beginning. A line that holds no event is logged and skipped: it is not worth a run.
    """
    stop = threading.Event()
    thread = threading.Thread(
        target=_follow, args=(_tail_of(path), display, stop, poll_s), name="follow-metrics", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _tail_of(path: str | Path | ObjectPath) -> _Tail:
    return _ObjectTail(path) if isinstance(path, ObjectPath) else _FileTail(Path(path))


def _follow(tail: _Tail, display: EventSink, stop: threading.Event, poll_s: float) -> None:
    poll_s = max(poll_s, tail.least_poll_s)
    while True:
        stopping = stop.wait(poll_s)  # asked before reading: what was written before the stop is still read
        for event in tail.new_events():
            display.event(event)
        if stopping:
            return


class _Tail(ABC):
    """The position in one growing file."""

    least_poll_s = 0.0

    def __init__(self, path: Path | ObjectPath) -> None:
        self._name = str(path)
        self._offset = 0

    def new_events(self) -> list[Event]:
        """Return the events of the complete lines that were added since the last call."""
        return [event for line in self._new_lines() if (event := self._parse(line)) is not None]

    @abstractmethod
    def _new_lines(self) -> list[bytes]:
        """Return the complete lines that were added since the last call."""

    def _parse(self, line: bytes) -> Event | None:
        event = parse_event(line)
        if event is None and line.strip():
            logger.warning("%s: skipped a line that holds no event: %.80r", self._name, line[:80])
        return event


class _FileTail(_Tail):
    """Of a file that is appended to."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._path = path
        self._inode: int | None = None

    def _new_lines(self) -> list[bytes]:
        try:
            with open_regular(self._path, TENSORS_BYTES) as file:
                status = os.fstat(file.fileno())
                if status.st_ino != self._inode or status.st_size < self._offset:
                    self._offset = 0
                self._inode = status.st_ino
                file.seek(self._offset)
                added = file.read()
        except OSError:  # not there yet, or no file that is worth a look
            return []
        complete = added[: added.rfind(b"\n") + 1]
        self._offset += len(complete)
        return complete.splitlines()


class _ObjectTail(_Tail):
    """Of an object that is replaced by a longer one now and then."""

    least_poll_s = SECONDS_BETWEEN_REQUESTS

    def __init__(self, path: ObjectPath) -> None:
        super().__init__(path)
        self._path = path
        self._version: tuple[int, int] | None = None

    def _new_lines(self) -> list[bytes]:
        try:
            with no_patience():
                version = self._path.version()
                if version is None or version == self._version:
                    return []
                content = self._path.read_bytes()
        except (LinregDistError, FileNotFoundError):  # the worker says what is wrong; this is a look only
            return []
        if len(content) < self._offset:
            self._offset = 0
        self._version = version
        added = content[self._offset :]
        complete = added[: added.rfind(b"\n") + 1]
        self._offset += len(complete)
        return complete.splitlines()
