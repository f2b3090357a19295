"""The boundary to the console and to logs: whatever passes it is safe to show."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast

from linreg_dist.wording.secrets import shown
from linreg_dist.wording.text import safe_text, without_colours


class UnwrittenOutputError(OSError):
    """The result could not be written to stdout, as where its disk is full. A broken pipe is another."""


class SafeStream:
    """A text stream in front of another one, which gets only what is safe to show.

    Attributes:
        behind: the stream itself, for a console that writes colours of its own.
        masks: whether it is for messages, which pass `shown`; documents on stdout are made without secrets
            and must stay exact but for what would steer a terminal.

    """

    def __init__(self, behind: TextIO, *, masks: bool) -> None:
        self.behind = behind
        self.masks = masks

    def write(self, text: str) -> int:
        """Write `text`; return the number of its characters."""
        plain = without_colours(text)
        with self._told():
            self.behind.write(shown(plain) if self.masks else safe_text(plain))
        return len(text)

    def flush(self) -> None:
        """Write what is buffered."""
        with self._told():
            self.behind.flush()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Say of an error that it is of stdout; messages are best effort, and their stream has its own."""
        try:
            yield
        except BrokenPipeError:
            raise
        except OSError as error:
            if self.masks:
                raise
            why = error.strerror or str(error)
            raise UnwrittenOutputError(
                error.errno, f"the output could not be written to stdout: {why}"
            ) from error

    def writelines(self, lines: Any) -> None:
        """Write each of `lines`."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.behind, name)

    def __enter__(self) -> SafeStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def __iter__(self) -> Iterator[str]:
        return iter(self.behind)


def behind(stream: TextIO) -> TextIO:
    """Return the stream behind a `SafeStream`; another stream as it is."""
    found: Any = stream
    return cast("TextIO", found.behind if isinstance(found, SafeStream) else found)


def safe(stream: TextIO, *, masks: bool = True) -> TextIO:
    """Return a stream in front of `stream` that lets nothing unsafe through."""
    found: Any = stream
    return cast("TextIO", found if isinstance(found, SafeStream) else SafeStream(found, masks=masks))


@contextmanager
def safe_console() -> Iterator[None]:
    """Put a `SafeStream` in front of ``sys.stdout`` and ``sys.stderr`` within the block."""
    out, err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = safe(out, masks=False), safe(err)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = out, err


class _SafeRecords(logging.Filter):
    """Makes the text of each record safe, whichever handler it goes to."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = shown(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = shown(logging.Formatter().formatException(_whole(record.exc_info)))
        return True


def _whole(found: Any) -> Any:
    return found if isinstance(found, tuple) else sys.exc_info()


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module; what it logs is safe on a terminal, in a file and in Ray's logs."""
    logger = logging.getLogger(name)
    if not any(isinstance(each, _SafeRecords) for each in logger.filters):
        logger.addFilter(_SafeRecords())
    return logger
