"""Names that meet names of the data, and never the same one."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from linreg_dist.wording.text import safe_name


def free_name(wanted: str, taken: Collection[str]) -> str:
    """Return `wanted`, with as many underscores as make it differ from all that are taken."""
    while wanted in taken:
        wanted += "_"
    return wanted


def intercept_name(features: Collection[str]) -> str:
    """Return what the intercept is called beside these features: ``(intercept)``, in more parentheses where a
    feature has that name.
    """
    name = "(intercept)"
    while name in features:
        name = f"({name})"
    return name


def some_names(names: Iterable[Any], limit: int = 12) -> str:
    """Return the first of many names for a message, each on one line, and how many more there are."""
    listed = list(names)
    more = f" and {len(listed) - limit:,} more" if len(listed) > limit else ""
    return ", ".join(safe_name(str(name)) for name in listed[:limit]) + more
