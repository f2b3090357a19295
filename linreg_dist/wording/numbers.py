"""Numbers as a reader wants them: significant digits, short units, decimal points below each other."""

from __future__ import annotations

import math
from collections.abc import Sequence

NO_VALUE = "–"


def format_number(value: float | None, num_digits: int = 6) -> str:
    """Return `value` with `num_digits` significant digits, ``0`` for an exact zero and a dash for None."""
    if value is None:
        return NO_VALUE
    if value == 0 or not math.isfinite(value):
        return format(value, "g")
    return format(value, f"#.{num_digits}g").removesuffix(".")


def format_p_value(value: float | None) -> str:
    """Return a p-value with three decimals; below one in a thousand only that it is."""
    if value is None:
        return NO_VALUE
    return "<0.001" if value < 0.001 else format(value, ".3f")


def format_count(value: float | None) -> str:
    """Return a whole number with thousands separators."""
    return NO_VALUE if value is None else format(round(value), ",")


def format_rate(rows_per_s: float) -> str:
    """Return rows per second with three significant digits, like ``2.70 Mrow/s``."""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rows_per_s >= factor:
            return f"{_three_digits(rows_per_s / factor)} {prefix}row/s"
    return f"{_three_digits(rows_per_s)} row/s"


def _three_digits(value: float) -> str:
    return format(value, "#.3g").removesuffix(".") if value < 999.5 else format(value, ".0f")


def format_duration(seconds: float) -> str:
    """Return ``0.4 s``, ``12 s``, ``3:05`` (minutes and seconds) or ``2:03:05``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def align_decimals(cells: Sequence[str]) -> list[str]:
    """Pad `cells` to one width with their decimal points below each other.

    A cell without a point ends where the others' points are; the fraction, and an exponent, follow it.
    """
    heads = [cell.partition(".")[0] for cell in cells]
    tails = [cell[len(head) :] for cell, head in zip(cells, heads, strict=True)]
    head_width = max(map(len, heads), default=0)
    tail_width = max(map(len, tails), default=0)
    return [head.rjust(head_width) + tail.ljust(tail_width) for head, tail in zip(heads, tails, strict=True)]
