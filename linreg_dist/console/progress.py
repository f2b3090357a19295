"""Show a running job on one stream: a bar on a terminal, now and then a line elsewhere, nothing when quiet.

The display is fed the lines of ``metrics.jsonl``. A *tick* has ``progress`` (0 to 1, of the whole job) and
any of ``phase``, ``of_epoch``, ``rows``, ``rows_per_s``, ``loss``, ``eta_s``; an *epoch line* has ``epoch``,
``rows``, ``rows_per_s``, ``seconds``, ``train_mse`` and ``validation_mse``, and no ``progress``. Epochs count
from 0 in the file and from 1 on the screen. What a line lacks, or gives as null, is not shown; lines of any
other kind are ignored.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TextIO

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.table import Column

from linreg_dist.console.terminal import is_terminal, make_console
from linreg_dist.documents import EpochLine, Event, Tick
from linreg_dist.wording.numbers import format_duration, format_number, format_rate
from linreg_dist.wording.streams import get_logger, safe
from linreg_dist.wording.text import safe_name, safe_text

logger = get_logger(__name__)

SECONDS_BETWEEN_LINES = 5.0


class ProgressDisplay:
    """Show a job's events while the ``with`` block runs; safe to feed from another thread.

    On a terminal one bar with phase, rows per second, loss and time left, removed at the end; `verbose`
    leaves a line per epoch above it. Elsewhere one plain line every `interval_s` seconds at most, with
    `verbose` one for every epoch. With `quiet` nothing. `total_epochs` is None for a solver without epochs.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        quiet: bool = False,
        verbose: bool = False,
        total_epochs: int | None = None,
        interval_s: float = SECONDS_BETWEEN_LINES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._painter: _Bar | _Lines | None = None
        if not quiet:
            self._painter = (
                _Bar(stream, verbose, total_epochs)
                if is_terminal(stream)
                else _Lines(stream, verbose, total_epochs, interval_s, clock)
            )

    def event(self, event: Event) -> None:
        """Take one line of ``metrics.jsonl``."""
        with self._lock, self._best_effort():
            if self._painter is None:
                return
            if isinstance(event, Tick):
                self._painter.tick(event)
            else:
                self._painter.epoch(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock, self._best_effort():
            if self._painter is not None:
                self._painter.close()

    @contextmanager
    def _best_effort(self) -> Iterator[None]:
        """Show nothing more once the stream cannot be written to: a closed terminal, a full disk under a log.

        A run must not fail over its progress.
        """
        try:
            yield
        except (OSError, ValueError) as error:
            if isinstance(error, ValueError) and not self._stream.closed:
                raise
            self._painter = None
            logger.info("progress is shown no more: %s", error)


class _Bar:
    """A rich progress bar that appears with the first event and disappears at the end."""

    def __init__(self, stream: TextIO, verbose: bool, total_epochs: int | None) -> None:
        self._verbose = verbose
        self._total_epochs = total_epochs
        # stdout is left alone: it carries data. Messages on stderr appear above a bar that is drawn there.
        self._progress = Progress(
            # Without markup: the phase of a remote job is text of others.
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=20),
            TaskProgressColumn("{task.percentage:>3.0f} %", markup=False),
            TextColumn(
                "{task.fields[figures]}",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis"),
            ),
            console=make_console(stream),
            transient=True,
            redirect_stdout=False,
            redirect_stderr=stream is sys.stderr,
        )
        self._redirects = stream is sys.stderr
        self._task = self._progress.add_task("starting", total=1.0, start=False, figures="")
        self._closed = False

    def tick(self, event: Tick) -> None:
        self._show()
        self._progress.update(
            self._task,
            completed=_fraction(event),
            description=_stage(event, self._total_epochs),
            figures="  ".join(_tick_figures(event)),
        )

    def epoch(self, event: EpochLine) -> None:
        self._show()
        if self._verbose:
            self._progress.console.print("  ".join(_epoch_words(event, self._total_epochs)))

    def close(self) -> None:
        self._closed = True
        self._progress.stop()

    def _show(self) -> None:
        if not self._closed and not self._progress.live.is_started:
            self._progress.start()
            if self._redirects:  # rich would take escape sequences in a message for styles and links
                sys.stderr = safe(sys.stderr)


class _Lines:
    """Plain lines, at most one per interval, for logs and pipes.

    An epoch line that came too early to be shown is kept and shown at the end, so that even a job of a second
    leaves one line behind.
    """

    def __init__(
        self,
        stream: TextIO,
        verbose: bool,
        total_epochs: int | None,
        interval_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._stream = stream
        self._verbose = verbose
        self._total_epochs = total_epochs
        self._interval_s = interval_s
        self._clock = clock
        self._next_s = clock() + interval_s
        self._kept: str | None = None

    def tick(self, event: Tick) -> None:
        if self._is_due():
            percent = f"{100 * _fraction(event):3.0f} %"
            self._write("  ".join([_stage(event, self._total_epochs), percent, *_tick_figures(event)]))

    def epoch(self, event: EpochLine) -> None:
        self._kept = "  ".join(_epoch_words(event, self._total_epochs))
        if self._verbose or self._is_due():
            self._write(self._kept)

    def close(self) -> None:
        if self._kept is not None:
            self._write(self._kept)

    def _is_due(self) -> bool:
        return self._clock() >= self._next_s

    def _write(self, line: str) -> None:
        self._stream.write(safe_text(line) + "\n")
        self._stream.flush()
        self._kept = None
        self._next_s = self._clock() + self._interval_s


def _fraction(event: Tick) -> float:
    return min(max(event.progress, 0.0), 1.0)


def _nth(epoch: int, total_epochs: int | None) -> str:
    return f"{epoch + 1}/{total_epochs}" if total_epochs is not None else f"{epoch + 1}"


def _stage(event: Tick, total_epochs: int | None) -> str:
    """Return ``train 3/10``, or only the phase where there are no epochs."""
    phase = safe_name(event.phase or "train")
    return phase if event.of_epoch is None else f"{phase} {_nth(event.of_epoch, total_epochs)}"


def _tick_figures(event: Tick) -> list[str]:
    """Return the figures of a tick that are known, ready to be joined."""
    figures = []
    if event.rows_per_s is not None:
        figures.append(format_rate(event.rows_per_s))
    if event.loss is not None:
        figures.append(f"loss {format_number(event.loss)}")
    if event.eta_s is not None:
        figures.append(f"{format_duration(event.eta_s)} left")
    return figures


def _epoch_words(event: EpochLine, total_epochs: int | None) -> list[str]:
    """Return the parts of the line that reports a finished epoch."""
    words = [f"epoch {_nth(event.epoch, total_epochs)}"]
    if event.seconds is not None:
        words.append(format_duration(event.seconds))
    if event.rows_per_s is not None:
        words.append(format_rate(event.rows_per_s))
    for split, mse in (("train", event.train_mse), ("validation", event.validation_mse)):
        if mse is not None:
            words.append(f"{split} mse {format_number(mse)}")
    return words
