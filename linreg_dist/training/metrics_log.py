"""``metrics.jsonl``: a line per epoch, and in between a tick for every phase and about every second.

One file is both the record and the progress display: the driver follows it, wherever the worker runs. An
object cannot be appended to: there the lines are kept in memory, and the whole is written again every
`OBJECT_EVERY_S` and at the end, beside the training.
"""

from __future__ import annotations

import json
import math
import threading
import time
from pathlib import Path
from typing import BinaryIO

from linreg_dist.documents import Event, Tick
from linreg_dist.errors import LinregDistError
from linreg_dist.storage import Background, Location, ObjectPath, rewrite_file, write_whole
from linreg_dist.storage.free_space import describe_room
from linreg_dist.training.progress import JobProgress, Standing
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

TICK_EVERY_S = 1.0
_SILENCE_S = 1.6  # after which a tick is repeated by itself, with the progress and the time left of then
_SMOOTHED_OVER_S = 5.0  # rates and losses of ticks
OBJECT_EVERY_S = 5.0
_WRITING_SHARE = 0.05  # of the time at most, when the file has grown long


class MetricsLog:
    """Appends to ``metrics.jsonl``.

    Args:
        path: the file, emptied first (an attempt that resumes writes the finished epochs again), or None on
            workers that write nothing.
        progress: of the job, as far as the driver has brought it.

    """

    def __init__(self, path: Location | None, progress: JobProgress | None = None) -> None:
        # Unbuffered: a line that a full disk refuses must not come back at the next one, or at the end.
        self._path = path
        self._full = False
        self._file = self._open(path) if isinstance(path, Path) else None
        self._object = _ObjectLines(path) if isinstance(path, ObjectPath) else None
        self._progress = JobProgress() if progress is None else progress
        self._lock = threading.RLock()
        self._last_report = self._last_tick = time.monotonic()
        self._figures = Tick(progress=0.0)
        self._rate, self._loss = _Smoothed(), _Smoothed()
        self._ended = threading.Event()
        if self._writes:
            threading.Thread(target=self._repeat, name="progress", daemon=True).start()

    @property
    def _writes(self) -> bool:
        return self._file is not None or self._object is not None

    @property
    def unwritten(self) -> str | None:
        """After `close`: all lines, if an object store would not take them; else None."""
        return self._object.unwritten if self._object else None

    def _open(self, path: Path) -> BinaryIO | None:
        try:
            return rewrite_file(path)
        except OSError as error:
            logger.warning("%s cannot be made: %s; %s", path, error, describe_room(path, error))
            return None

    def close(self) -> None:
        """Close the file."""
        self._ended.set()
        with self._lock:
            self._close()

    def _close(self) -> None:
        if self._file:
            self._file.close()
        if self._object:
            self._object.close()

    def line(self, event: Event) -> None:
        """Write one line; one that a full disk refuses is left out, since no run is worth it."""
        with self._lock:
            self._line(json.dumps(event.to_json()) + "\n")

    def _line(self, text: str) -> None:
        if self._file:
            try:
                self._file.write(text.encode())
                self._full = False
            except OSError as error:
                if not self._full and self._path:
                    room = describe_room(self._path, error)
                    logger.warning("%s is incomplete: %s; %s", self._path, error, room)
                self._full = True
        if self._object:
            self._object.add(text)

    def tick_due(self) -> bool:
        """Return whether a tick would be written now; workers that write nothing never say so."""
        return self._writes and time.monotonic() - self._last_report >= TICK_EVERY_S

    def enter(
        self,
        phase: str,
        text: str = "",
        *,
        epoch: int | None = None,
        epochs: int | None = None,
        done: float = 0.0,
    ) -> None:
        """Write that a phase of the job begins; see `JobProgress.enter`, and `tick` for the epoch."""
        if not self._writes:
            return
        with self._lock:
            standing = self._progress.enter(phase, text or _epoch_text(epoch, epochs), done)
            self._rate, self._loss = _Smoothed(), _Smoothed()
            self._write_tick(standing, Tick(progress=0.0, of_epoch=epoch))

    def tick(
        self,
        phase: str,
        fraction: float,
        *,
        epoch: int | None = None,
        epochs: int | None = None,
        rows: int = 0,
        rows_per_s: float | None = None,
        loss: float | None = None,
    ) -> None:
        """Write how far the job is.

        Args:
            phase: the job's phase, such as ``read`` or ``train``.
            fraction: of the phase, 0 to 1; progress and time left of the whole job follow from it.
            epoch, epochs: the epoch in progress, from 0, and their number where it is known.
            rows: done in this phase.
            rows_per_s, loss: smoothed over some seconds before they are written.

        """
        if not self._writes:
            return
        with self._lock:
            self._progress.enter(phase, _epoch_text(epoch, epochs), fraction)
            standing = self._progress.at(fraction)
            self._last_report = time.monotonic()
            figures = Tick(
                progress=0.0,
                of_epoch=epoch,
                rows=rows,
                rows_per_s=self._rate.add(rows_per_s),
                loss=self._loss.add(loss),
            )
            self._write_tick(standing, figures)

    def _write_tick(self, standing: Standing, figures: Tick) -> None:
        # `of_epoch` and not `epoch`: a line with the key `epoch` is a finished epoch, a line with `progress`
        # a tick.
        self._figures, self._last_tick = figures, time.monotonic()
        self.line(tick_of(standing, figures))

    def _repeat(self) -> None:
        """Tick while the work is silent for long: in one large row group, or while it solves."""
        while not self._ended.wait(TICK_EVERY_S / 2):
            with self._lock:
                if not self._ended.is_set() and time.monotonic() - self._last_tick >= _SILENCE_S:
                    self._write_tick(self._progress.standing(), self._figures)


def tick_of(standing: Standing, figures: Tick | None = None) -> Tick:
    """Return the tick that tells where a job is, with the figures of another one."""
    more = {}
    if figures is not None:
        more = figures.model_dump(include={"of_epoch", "rows", "rows_per_s", "loss"}, exclude_none=True)
    eta_s = None if standing.eta_s is None else round(standing.eta_s, 3)
    return Tick(phase=standing.phase, progress=round(standing.progress, 4), eta_s=eta_s, **more)


def _epoch_text(epoch: int | None, epochs: int | None) -> str:
    if epoch is None:
        return ""
    return f"epoch {epoch + 1}" + ("" if epochs is None else f" of {epochs}")


class _Smoothed:
    """A figure averaged over the last seconds, the newest counting most."""

    def __init__(self) -> None:
        self._value: float | None = None
        self._at = time.monotonic()

    def add(self, value: float | None) -> float | None:
        """Add a value, if there is one that is finite, and return the average."""
        now = time.monotonic()
        if value is not None and math.isfinite(value):
            share = -math.expm1(-max(now - self._at, 0.0) / _SMOOTHED_OVER_S)
            self._value = value if self._value is None else self._value + share * (value - self._value)
            self._at = now
        return self._value


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
