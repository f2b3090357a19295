"""A job's log taken apart: events of its progress, its result document, and text for people.

``train --json --progress jsonl`` writes an event as one line of JSON, and the result over several lines from
``{`` to ``}``, or on one line after an error. Everything else is text, whatever it looks like: a job may
print anything, Ray and libraries print in between, and none of it may end or blind whoever follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from linreg_dist.documents import EpochLine, Event, ResultDocument, Tick
from linreg_dist.wording.events import checked_event
from linreg_dist.wording.json_text import parse_object

_MOST_LINES, _MOST_CHARACTERS = 200_000, 64 << 20
# A line within a document that was written with an indent of two.
_INNER = re.compile(r'  +(?:["\[\]{}]|-?[0-9]|true\b|false\b|null\b|NaN\b|-?Infinity\b)')


class LogLines:
    """Takes a log apart as it comes in.

    Attributes:
        epoch, tick: the last line of each kind.
        result: the result document, once it was there.
        document: the last whole document that is no result, such as another verb prints; it is text too.
        last_text: the last line of text that was not blank.

    """

    def __init__(self) -> None:
        self.epoch: EpochLine | None = None
        self.tick: Tick | None = None
        self.result: ResultDocument | None = None
        self.document: dict[str, Any] | None = None
        self.last_text = ""
        self._rest = ""
        self._document: list[str] = []
        self._characters = 0

    def feed(self, text: str) -> Iterator[Event | str]:
        """Yield the events and the lines of text that `text` completes, in order.

        While a document comes in, a line that is no part of it is text.
        """
        *lines, self._rest = (self._rest + text).split("\n")
        if len(self._rest) > _MOST_CHARACTERS:
            lines, self._rest = [*lines, self._rest], ""
        for line in lines:
            yield from self._line(line)

    def close(self) -> Iterator[str]:
        """Yield what is left when the log has ended: a last line without its end, or half a document."""
        yield from self._give_up()
        rest, self._rest = self._rest, ""
        if rest:
            yield self._as_text(rest)

    def _line(self, line: str) -> Iterator[Event | str]:
        if line == "{":
            yield from self._give_up()
            self._take(line)
        elif self._document and line == "}":
            self._take(line)
            yield from self._end_document()
        elif self._document and _INNER.match(line):
            self._take(line)
            if len(self._document) > _MOST_LINES or self._characters > _MOST_CHARACTERS:
                yield from self._give_up()
        else:
            if len(self._document) == 1:  # none began
                yield from self._give_up()
            yield from self._single(line)

    def _single(self, line: str) -> Iterator[Event | str]:
        document = _parse(line) if line.startswith("{") else None
        event = None if document is None else checked_event(document)
        result = None if document is None else as_result(document)
        if event is not None:
            if isinstance(event, Tick):
                self.tick = event
            else:
                self.epoch = event
            yield event
        elif result is not None:
            self.result = result
        else:
            yield self._as_text(line)

    def _take(self, line: str) -> None:
        self._document.append(line)
        self._characters += len(line)

    def _end_document(self) -> Iterator[str]:
        document = _parse("\n".join(self._document))
        result = None if document is None else as_result(document)
        if result is None:
            self.document = document or self.document
            yield from self._give_up()
            return
        self.result = result
        self._document, self._characters = [], 0

    def _give_up(self) -> Iterator[str]:
        """Yield the lines of what turned out to be no document."""
        lines, self._document, self._characters = self._document, [], 0
        for line in lines:
            yield self._as_text(line)

    def _as_text(self, line: str) -> str:
        self.last_text = line.strip() or self.last_text
        return line


def as_result(document: Mapping[str, Any]) -> ResultDocument | None:
    """Return a document if it is a result; None if it is not."""
    try:
        return ResultDocument.from_json(document) if isinstance(document.get("status"), str) else None
    except ValueError:
        return None


def _parse(text: str) -> dict[str, Any] | None:
    try:
        return parse_object(text, finite=True)
    except ValueError:
        return None
