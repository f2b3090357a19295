"""Progress for programs: the lines of ``metrics.jsonl`` on a stream, as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TextIO


class EventLines:
    """Writes each event as one line of JSON; an `EventSink` like the display for people."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def event(self, event: Mapping[str, Any]) -> None:
        """Write one line."""
        self._stream.write(json.dumps(event) + "\n")
        self._stream.flush()
