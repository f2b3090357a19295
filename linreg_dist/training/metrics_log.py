"""``metrics.jsonl``: a line per epoch, and a tick now and then in between.

One file is both the record and the progress display: the driver follows it, wherever the worker runs. An
object cannot be appended to: there the lines are kept in memory, and the whole is written again every
`OBJECT_EVERY_S` and at the end, beside the training.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import BinaryIO

from linreg_dist.documents import Event, Tick
from linreg_dist.errors import LinregDistError
from linreg_dist.storage import Background, Location, ObjectPath, rewrite_file, write_whole
from linreg_dist.storage.free_space import describe_room
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

TICK_EVERY_S = 1.0
OBJECT_EVERY_S = 5.0
_WRITING_SHARE = 0.05  # of the time at most, when the file has grown long


class MetricsLog:
    """Appends to ``metrics.jsonl``.

    Args:
        path: the file, emptied first (an attempt that resumes writes the finished epochs again), or None on
            workers that write nothing.

    """

    def __init__(self, path: Location | None) -> None:
        # Unbuffered: a line that a full disk refuses must not come back at the next one, or at the end.
        self._path = path
        self._full = False
        self._file = self._open(path) if isinstance(path, Path) else None
        self._object = _ObjectLines(path) if isinstance(path, ObjectPath) else None
        self._last_tick = time.monotonic()

    @property
    def unwritten(self) -> str | None:
        """After `close`: all lines, if an object store would not take them; else None."""
        return self._object.unwritten if self._object else None

    def _open(self, path: Path) -> BinaryIO | None:
        try:
            return rewrite_file(path)
        except OSError as error:
            logger.warning("%s cannot be made: %s; %s", path, error, describe_room(path))
            return None

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
        if self._object:
            self._object.close()

    def line(self, event: Event) -> None:
        """Write one line; one that a full disk refuses is left out, since no run is worth it."""
        text = json.dumps(event.to_json()) + "\n"
        if self._file:
            try:
                self._file.write(text.encode())
                self._full = False
            except OSError as error:
                if not self._full and self._path:
                    logger.warning("%s is incomplete: %s; %s", self._path, error, describe_room(self._path))
                self._full = True
        if self._object:
            self._object.add(text)

    def tick_due(self) -> bool:
        """Return whether a tick would be written now; workers that write nothing never say so."""
        writes = self._file is not None or self._object is not None
        return writes and time.monotonic() - self._last_tick >= TICK_EVERY_S

    def tick(
        self,
        phase: str,
        progress: float,
        *,
        epoch: int | None = None,
        rows: int = 0,
        rows_per_s: float | None = None,
        loss: float | None = None,
        eta_s: float | None = None,
    ) -> None:
        """Write where the job stands: ``progress`` from 0 to 1 over the whole job, ``rows`` done in this
        phase.
        """
        self._last_tick = time.monotonic()
        # `of_epoch` and not `epoch`: a line with the key `epoch` is a finished epoch, a line with `progress`
        # a tick.
        self.line(
            Tick(
                progress=round(min(max(progress, 0.0), 1.0), 4),
                phase=phase,
                of_epoch=epoch,
                rows=rows,
                rows_per_s=rows_per_s,
                loss=loss,
                eta_s=eta_s,
            )
        )


class _ObjectLines:
    """The lines of an object, which is written as a whole now and then."""

    def __init__(self, path: ObjectPath) -> None:
        self._path = path
        self._lines: list[str] = []
        self._background = Background(str(path))
        self._next = time.monotonic() + OBJECT_EVERY_S
        self.unwritten: str | None = None

    def add(self, text: str) -> None:
        self._lines.append(text)
        if time.monotonic() < self._next:
            return
        content = "".join(self._lines)
        if self._background.start(lambda: self._write(content)):
            self._next = time.monotonic() + OBJECT_EVERY_S

    def close(self) -> None:
        self._background.close()
        content = "".join(self._lines)
        try:
            write_whole(self._path, content)
        except LinregDistError as error:  # the driver, which has the model to write too, tries again
            logger.warning("%s was not written, the job goes on: %s", self._path, error)
            self.unwritten = content

    def _write(self, content: str) -> None:
        began = time.monotonic()
        write_whole(self._path, content)
        took_s = time.monotonic() - began
        self._next = max(self._next, time.monotonic() + took_s / _WRITING_SHARE)
