"""Progress for programs: the lines of ``metrics.jsonl`` on a stream, as they are."""

from __future__ import annotations

import json
from typing import TextIO

from linreg_dist.documents import Event
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)


class EventLines:
    """Writes each event as one line of JSON; an `EventSink` like the display for people."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._gone = False

    def event(self, event: Event) -> None:
        """Write one line; none once the stream cannot be written to, which is not worth a run."""
        if self._gone:
            return
        try:
            self._stream.write(json.dumps(event.to_json()) + "\n")
            self._stream.flush()
        except OSError as error:
            self._gone = True
            logger.info("progress is written no more: %s", error)
