"""Progress for Python code: in a notebook as an output that changes, else as on the command line."""

from __future__ import annotations

import html
import importlib
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from linreg_dist.console.progress import ProgressDisplay, phase_words, tick_figures
from linreg_dist.documents import EpochLine, Event, Tick
from linreg_dist.run.progress.follow import EventSink
from linreg_dist.wording.numbers import format_duration, format_number
from linreg_dist.wording.summary import Summary, SummaryTable

_MOST_EPOCHS = 12


@contextmanager
def shown_progress() -> Iterator[EventSink]:
    """Show a job's events while the ``with`` block runs, where whoever runs this code will see them."""
    if in_notebook():
        display = NotebookProgress()
        try:
            yield display
        finally:
            display.close()
        return
    with ProgressDisplay(sys.stderr) as lines:
        yield lines


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


class NotebookProgress:
    """One output below the cell: it changes as the job goes on, and a table of the epochs stays."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._epochs: dict[int, EpochLine] = {}
        self._handle: Any = None
        self._show(*_line(Tick(progress=0.0, phase="starting")))

    def event(self, event: Event) -> None:
        """Take one event of the job."""
        with self._lock:
            if isinstance(event, EpochLine):
                self._epochs[event.epoch] = event
            else:
                self._show(*_line(event))

    def close(self) -> None:
        """Leave the table of the epochs, or nothing where there was one epoch at most."""
        with self._lock:
            table = _epochs(self._epochs)
            self._show(str(table), table._repr_html_()) if table.tables else self._show("", "")

    def _show(self, plain: str, formatted: str) -> None:
        content = {"text/plain": plain, "text/html": formatted}
        if self._handle is None:
            display: Any = importlib.import_module("IPython.display").display
            self._handle = display(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)


def _line(tick: Tick) -> tuple[str, str]:
    """Return a tick as plain text and as HTML."""
    share = min(max(tick.progress, 0.0), 1.0)
    words = "  ".join([f"{100 * share:.0f} %", *tick_figures(tick)])
    phase = phase_words(tick)
    bar = f'<progress max="1" value="{share:.4f}" aria-label="{html.escape(phase, quote=True)}"></progress>'
    return f"{phase}  {words}", f"<div>{html.escape(phase)} {bar} {html.escape(words)}</div>"


def _epochs(found: dict[int, EpochLine]) -> Summary:
    lines = [found[epoch] for epoch in sorted(found)]
    if len(lines) < 2:
        return Summary("", ())
    skipped = len(lines) - _MOST_EPOCHS
    shown = [*lines[:4], *lines[4 + max(skipped, 0) :]]
    rows = []
    for line in shown:
        if skipped > 0 and line is shown[4]:
            rows.append(("…", "", "", ""))
        took = "" if line.seconds is None else format_duration(line.seconds)
        rows.append(
            (str(line.epoch + 1), took, format_number(line.train_mse), format_number(line.validation_mse))
        )
    return Summary("", (SummaryTable(("epoch", "took", "train MSE", "validation MSE"), tuple(rows)),))
