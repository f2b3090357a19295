"""Show a running job on one stream: a bar on a terminal, now and then a line elsewhere, nothing when quiet.

The display is fed the events of a job, which are the lines of ``metrics.jsonl`` and those of its driver. A
*tick* has ``progress`` (0 to 1, of the whole job) and any of ``phase`` (in words), ``rows``, ``rows_per_s``,
``loss``, ``eta_s`` (of the whole job); an *epoch line* has ``epoch``, ``rows``, ``rows_per_s``, ``seconds``,
``train_mse`` and ``validation_mse``, and no ``progress``. Epochs count from 0 in the file and from 1 on the
screen. What a line lacks, or gives as null, is not shown.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self, TextIO

from rich.console import Group
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Column
from rich.text import Text

from linreg_dist.console.epochs import epoch_table
from linreg_dist.console.terminal import is_terminal, make_console, print_renderable
from linreg_dist.documents import EpochLine, Event, Tick
from linreg_dist.wording.numbers import format_duration, format_number, format_rate
from linreg_dist.wording.streams import get_logger, safe
from linreg_dist.wording.text import safe_name, safe_text

logger = get_logger(__name__)

SECONDS_BETWEEN_LINES = 5.0
SECONDS_TO_FIRST_LINE = 1.0


class ProgressDisplay:
    """Show a job's events while the ``with`` block runs; safe to feed from another thread.

    On a terminal one line with phase, bar, rows per second, loss and time left, removed at the end. Elsewhere
    a plain line after a second, then one every `interval_s` seconds at most. A table of the epochs stays
    where there were several, or with `verbose` a line for every epoch as it ends. With `quiet` nothing.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        quiet: bool = False,
        verbose: bool = False,
        interval_s: float = SECONDS_BETWEEN_LINES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream
        self._lock = threading.Lock()
        self._painter: _Bar | _Lines | None = None
        self._epochs: dict[int, EpochLine] = {}
        self._leaves_table = not verbose
        if not quiet:
            self._painter = (
                _Bar(stream, verbose) if is_terminal(stream) else _Lines(stream, verbose, interval_s, clock)
            )

    def event(self, event: Event) -> None:
        """Take one line of ``metrics.jsonl``."""
        with self._lock, self._best_effort():
            if self._painter is None:
                return
            if isinstance(event, Tick):
                self._painter.tick(event)
            else:
                self._epochs[event.epoch] = event
                self._painter.epoch(event)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._lock, self._best_effort():
            if self._painter is not None:
                self._painter.close()
                if len(self._epochs) > 1 and self._leaves_table:
                    lines = [self._epochs[epoch] for epoch in sorted(self._epochs)]
                    print_renderable(Group(epoch_table(lines), Text("")), self._stream)
            self._painter = None

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

    def __init__(self, stream: TextIO, verbose: bool) -> None:
        self._verbose = verbose
        # stdout is left alone: it carries data. Messages on stderr appear above a bar that is drawn there.
        self._progress = Progress(
            SpinnerColumn("line"),
            # Without markup: the phase of a remote job is text of others.
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[percent]}", markup=False, table_column=Column(no_wrap=True)),
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
        self._task = self._progress.add_task("starting", total=1.0, start=True, figures="", percent="")
        self._closed = False

    def tick(self, event: Tick) -> None:
        self._progress.update(
            self._task,
            completed=_fraction(event),
            description=phase_words(event),
            percent=_percent(event),
            figures="  ".join(tick_figures(event)),
        )
        self._show()

    def epoch(self, event: EpochLine) -> None:
        self._show()
        if self._verbose:
            self._progress.console.print("  ".join(_epoch_words(event)))

    def close(self) -> None:
        self._closed = True
        self._progress.stop()

    def _show(self) -> None:
        if not self._closed and not self._progress.live.is_started:
            self._progress.start()
            if self._redirects:  # rich would take escape sequences in a message for styles and links
                sys.stderr = safe(sys.stderr)


class _Lines:
    """Plain lines, at most one per interval, for logs and pipes."""

    def __init__(self, stream: TextIO, verbose: bool, interval_s: float, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._verbose = verbose
        self._interval_s = interval_s
        self._clock = clock
        self._next_s = clock() + min(interval_s, SECONDS_TO_FIRST_LINE)

    def tick(self, event: Tick) -> None:
        if self._clock() >= self._next_s:
            self._write("  ".join([phase_words(event), f"{_percent(event):>5}", *tick_figures(event)]))

    def epoch(self, event: EpochLine) -> None:
        if self._verbose:
            self._write("  ".join(_epoch_words(event)))

    def close(self) -> None:
        pass

    def _write(self, line: str) -> None:
        self._stream.write(safe_text(line) + "\n")
        self._stream.flush()
        self._next_s = self._clock() + self._interval_s


def _fraction(event: Tick) -> float:
    return min(max(event.progress, 0.0), 1.0)


def _percent(event: Tick) -> str:
    """Return ``0.4 %`` or ``42 %``: where there is little, its first digit says that it moves."""
    percent = 100.0 * _fraction(event)
    return f"{percent:.1f} %" if percent < 9.95 else f"{percent:.0f} %"


def phase_words(event: Tick) -> str:
    """Return the phase of a tick, safe to show."""
    return safe_name(event.phase or "training")


def tick_figures(event: Tick) -> list[str]:
    """Return the figures of a tick that are known, ready to be joined."""
    figures = []
    if event.rows_per_s is not None:
        figures.append(format_rate(event.rows_per_s))
    if event.loss is not None:
        figures.append(f"loss {format_number(event.loss)}")
    if event.eta_s is not None:
        figures.append(f"{format_duration(event.eta_s)} left")
    return figures


def _epoch_words(event: EpochLine) -> list[str]:
    """Return the parts of the line that reports a finished epoch."""
    words = [f"epoch {event.epoch + 1}"]
    if event.seconds is not None:
        words.append(format_duration(event.seconds))
    if event.rows_per_s is not None:
        words.append(format_rate(event.rows_per_s))
    for split, mse in (("train", event.train_mse), ("validation", event.validation_mse)):
        if mse is not None:
            words.append(f"{split} mse {format_number(mse)}")
    return words
