"""Progress as lines for the log of an orchestrator, which keeps every line: few of them, each worth it."""

from __future__ import annotations

import time
from collections.abc import Callable

from linreg_dist.documents import EpochLine, Event

EVERY_S = 10.0


class ProgressLines:
    """Says how far a job is: the first line at once, then one every few seconds.

    Args:
        say: takes a line.
        every_s: seconds between two lines at least.
        clock: the time in seconds, from anywhere.

    """

    def __init__(
        self,
        say: Callable[[str], object],
        every_s: float = EVERY_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._every_s, self._clock = say, every_s, clock
        self._next = clock()
        self._unsaid: EpochLine | None = None
        self._last = ""

    def event(self, event: Event) -> None:
        """Take a line of ``metrics.jsonl``."""
        if self._clock() >= self._next:
            self._tell(event)
        elif isinstance(event, EpochLine):
            self._unsaid = event

    def close(self) -> None:
        """Say the last epoch, if it came too soon after another line."""
        if self._unsaid is not None:
            self._tell(self._unsaid)

    def _tell(self, event: Event) -> None:
        self._next = self._clock() + self._every_s
        self._unsaid = None
        line = line_of(event)
        if line != self._last:  # a job that waits says the same again and again
            self._say(line)
        self._last = line


def line_of(event: Event) -> str:
    """Return an event on one line: ``42 % · moments · 1,200,000 rows/s · 30 s left``."""
    if isinstance(event, EpochLine):
        parts = [f"epoch {event.epoch + 1}"]
        for name, mse in (("train", event.train_mse), ("validation", event.validation_mse)):
            parts += [] if mse is None else [f"{name} MSE {mse:.6g}"]
        left = None
    else:
        parts = [f"{100 * min(event.progress, 1.0):.0f} %"]
        parts += [] if event.phase is None else [event.phase]
        if event.of_epoch is not None and not (event.phase or "").startswith("epoch"):
            parts.append(f"epoch {event.of_epoch + 1}")
        left = event.eta_s
    parts += [] if event.rows_per_s is None else [f"{event.rows_per_s:,.0f} rows/s"]
    parts += [] if left is None else [f"{left:,.0f} s left"]
    return " · ".join(parts)
