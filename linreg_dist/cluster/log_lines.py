"""What a job's log holds: events of its progress, its result document, and text for people.

``train --json --progress jsonl`` writes an event as one line of JSON, and the result over several lines from
``{`` to ``}``, or on one line after an error. Everything else is text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


class LogLines:
    """Takes a log apart as it comes in.

    Attributes:
        events: the last epoch line and the last tick, by kind: ``"epoch"`` and ``"progress"``.
        result: the result document, once it was there.
        last_text: the last line of text that was not blank.

    """

    def __init__(self) -> None:
        self.events: dict[str, dict[str, Any]] = {}
        self.result: dict[str, Any] | None = None
        self.last_text = ""
        self._rest = ""
        self._document: list[str] | None = None

    def feed(self, text: str) -> Iterator[dict[str, Any] | str]:
        """Yield the events and the lines of text that `text` completes, in order."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            yield from self._line(line)

    def close(self) -> Iterator[str]:
        """Yield what is left when the log has ended: a last line without its end, or half a document."""
        rest = [*(self._document or []), *([self._rest] if self._rest else [])]
        self._document, self._rest = None, ""
        for line in rest:
            yield self._as_text(line)

    def _line(self, line: str) -> Iterator[dict[str, Any] | str]:
        if self._document is not None:
            self._document.append(line)
            if line == "}":
                yield from self._end_document(self._document)
        elif line == "{":
            self._document = [line]
        else:
            document = _parse(line) if line.startswith("{") else None
            kind = next((key for key in ("progress", "epoch") if document and key in document), None)
            if document is not None and kind is not None:
                self.events[kind] = document
                yield document
            elif document is not None and "status" in document:
                self.result = document
            else:
                yield self._as_text(line)

    def _end_document(self, lines: list[str]) -> Iterator[str]:
        self._document = None
        document = _parse("\n".join(lines))
        if document is not None and "status" in document:
            self.result = document
        else:
            for line in lines:
                yield self._as_text(line)

    def _as_text(self, line: str) -> str:
        self.last_text = line.strip() or self.last_text
        return line


def _parse(text: str) -> dict[str, Any] | None:
    try:
        document = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
