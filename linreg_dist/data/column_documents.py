"""The documents of encoded columns, as models and statistics hold them, checked before they are used."""

from __future__ import annotations

import math
from typing import Any


def check_columns(documents: Any) -> None:
    """Check the form that `Encoding.to_json` returns; kinds that are not known are for others to refuse.

    Raises:
        ValueError: names the first column that is wrong, and what is.

    """
    if not isinstance(documents, list) or not all(isinstance(item, dict) for item in documents):
        raise ValueError("columns is no list of objects")
    names = set()
    for item in documents:
        name = item.get("name")
        if not isinstance(name, str) or name in names:
            raise ValueError(f"columns has the name {name!r} twice, or it is no text")
        names.add(name)
        if not isinstance(item.get("kind"), str):
            raise ValueError(f"column {name!r} has no kind")
        if item["kind"] in ("numeric", "categorical") and "fill" not in item:
            raise ValueError(f"column {name!r} has no fill, which may be null")
        if item["kind"] == "numeric":
            fill = item["fill"]
            if fill is not None and not is_finite(fill):
                raise ValueError(f"column {name!r} has the fill {fill!r}, expected a finite number or null")
        elif item["kind"] == "categorical":
            _check_levels(name, item)


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


def _check_levels(name: str, item: dict[str, Any]) -> None:
    levels = item.get("levels")
    if not isinstance(levels, list) or not all(isinstance(level, str | bool | int) for level in levels):
        raise ValueError(f"column {name!r} has levels that are no texts, whole numbers or booleans")
    if len({(type(level), level) for level in levels}) < len(levels):
        raise ValueError(f"column {name!r} has a level twice")
    if item.get("unseen") not in ("error", "zero"):
        raise ValueError(f"column {name!r} has unseen {item.get('unseen')!r}, expected error or zero")
    if item["fill"] is not None:
        check_numbers(item["fill"], max(0, len(levels) - 1), f"fill of column {name!r}")
