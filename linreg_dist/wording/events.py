"""The lines of ``metrics.jsonl``, taken from a file or a job's log and checked.

Whoever shows progress must not end, or show nonsense, because of a line that was cut by a full disk, printed
by somebody else's program, or written by another version. So a line is either an event, in which every figure
is a number, or none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from linreg_dist.documents import EpochLine, Event, Tick
from linreg_dist.wording.json_text import parse_object

_FIGURES = ("rows", "rows_per_s", "loss", "eta_s", "seconds", "learning_rate", "global_batch_size")
_MOST_EPOCHS = 10**12
_LONGEST_TEXT = 200


def parse_event(line: str | bytes) -> Event | None:
    """Return the event that a line holds: a tick (it has ``progress``) or a finished epoch (it has
    ``epoch``); None if it holds neither.

    Figures that are no finite numbers of at least zero become None, in epochs as in ticks; so does a phase
    that is no short text. Keys that are not known are kept where they hold a number, a text or null.
    """
    if line.lstrip()[:1] not in ("{", b"{"):
        return None
    try:
        document = parse_object(line, finite=True)
    except ValueError:
        return None
    return checked_event(document)


def checked_event(document: Mapping[str, Any]) -> Event | None:
    """Return a document as an event, see `parse_event`; None if it is none."""
    event: dict[str, Any] = {}
    for key, value in document.items():
        if key in ("epoch", "of_epoch"):
            event[key] = value if _is_epoch(value) else None
        elif key in _FIGURES or key == "progress" or key.endswith("_mse"):
            event[key] = value if _is_figure(value) else None
        elif key == "phase":
            event[key] = value if isinstance(value, str) and len(value) <= _LONGEST_TEXT else None
        elif value is None or isinstance(value, bool | int | float | str):
            event[key] = value
    kind, key = (Tick, "progress") if "progress" in event else (EpochLine, "epoch")
    try:
        return None if event.get(key) is None else kind.from_json(event)
    except ValueError:
        return None


def _is_epoch(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST_EPOCHS


def _is_figure(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 <= value < 1e300 if isinstance(value, float) else 0 <= value < 10**300
