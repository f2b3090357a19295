"""Scales: positions of numbers on an axis, and its tick marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_LOG_STEPS = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 2.0, 3.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))


@dataclass(frozen=True)
class Scale:
    """A map from numbers to places on an axis.

    Attributes:
        low, high: the numbers at its ends.
        start, stop: the places of these.
        log: whether equal ratios are equally long.

    """

    low: float
    high: float
    start: float
    stop: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the place of a number."""
        low, high = self._transformed(self.low), self._transformed(self.high)
        share = (self._transformed(value) - low) / (high - low)
        return self.start + share * (self.stop - self.start)

    def clipped(self, value: float) -> float:
        """Return the position of a number, or the end of the axis that it is beyond."""
        return self(min(max(value, self.low), self.high))

    def ticks(self, most: int, *, whole: bool = False) -> list[float]:
        """Return numbers to mark, at most about so many; whole ones if asked to."""
        if self.log:
            return log_ticks(self.low, self.high, most)
        return nice_ticks(self.low, self.high, most, whole=whole)

    def _transformed(self, value: float) -> float:
        return math.log10(value) if self.log else value


def scale_around(
    values: Sequence[float], start: float, stop: float, *, log: bool = False, margin: float = 0.04
) -> Scale:
    """Return a scale that has all these numbers, with some room beside them."""
    low, high = min(values), max(values)
    if log:
        span = math.log10(high / low) or 0.2
        return Scale(low / 10 ** (margin * span), high * 10 ** (margin * span), start, stop, log=True)
    span = (high - low) or abs(high) * 0.2 or 1.0
    if low == high:
        low, high = low - span / 2, high + span / 2
    return Scale(low - margin * span, high + margin * span, start, stop)


def nice_ticks(low: float, high: float, most: int, *, whole: bool = False) -> list[float]:
    """Return round numbers between two, evenly spaced."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low] if math.isfinite(low) else []
    power = 10.0 ** math.floor(math.log10(span / max(most, 1)))
    for step in (power * step for step in (*_STEPS, 20.0, 25.0, 50.0)):
        if whole and (step < 1 or step % 1):
            continue
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            return [float(f"{number * step:.12g}") for number in range(first, last + 1)]
    return [low, high]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Return round numbers between two for a logarithmic axis."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    best: list[float] = []
    for steps in _LOG_STEPS:
        every = max(1, -(-(last - first) // most)) if len(steps) == 1 else 1
        found = [
            float(f"{step * 10.0**power:.6g}")
            for power in range(first, last + 1)
            if (power - first) % every == 0
            for step in steps
        ]
        found = [value for value in found if low <= value <= high]
        if len(found) > most:
            break
        best = found
    return best if len(best) > 1 else nice_ticks(low, high, most)


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """Return the marks as text, with no power of ten in a corner where nobody looks for it."""
    return [tick_text(tick) for tick in ticks]


def tick_text(value: float) -> str:
    """Return a mark as text: thousands and millions by their letter, the rest in at most six digits."""
    size = abs(value)
    for factor, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= factor and size < 1e12:
            unit = 1e3 if letter == "k" else factor
            return f"{value / unit:.4g}{letter}"
    return f"{value:.6g}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
