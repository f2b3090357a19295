"""Checks of JSON values from files that others may have written: finite numbers, lists of them, names."""

from __future__ import annotations

import math
from typing import Any


def is_finite(value: Any) -> bool:
    """Return whether a JSON value is a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond float64
        return False


def check_numbers(values: Any, length: int, what: str) -> None:
    """Check a JSON list of finite numbers.

    Raises:
        ValueError: it is none, or has another length.

    """
    if not isinstance(values, list) or len(values) != length or not all(map(is_finite, values)):
        raise ValueError(f"{what} is no list of {length} finite numbers")


def check_texts(values: Any, what: str) -> None:
    """Check a JSON list of different texts.

    Raises:
        ValueError: it is none, or has one twice.

    """
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError(f"{what} is no list of texts")
    if len(set(values)) < len(values):
        raise ValueError(f"{what} has a text twice")
