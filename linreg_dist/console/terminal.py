"""One rule for what a stream shows: colour and movement only on a terminal, no colour with ``NO_COLOR``."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from linreg_dist.wording.streams import behind
from linreg_dist.wording.text import safe_text

UNLIMITED_WIDTH = 10_000  # what is not a terminal has no edge: a pipe or a log keeps every character


def is_terminal(stream: TextIO) -> bool:
    """Say whether `stream` is a terminal that can move its cursor (``TERM=dumb`` cannot)."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


class SafeConsole(Console):
    """A console whose only escape sequences are its own: text of the data loses its own as it is drawn.

    Tables make names safe before, so that their columns fit; this is the boundary that nothing can forget.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the segments of what is drawn, each of them safe to show."""
        for segment in super().render(renderable, options):
            text = segment.text
            plain = text if segment.control else safe_text(text)
            yield segment if plain == text else Segment(plain, segment.style)


def make_console(stream: TextIO) -> Console:
    """Return a rich console on `stream` that follows the rule of this module.

    Both switches are set by hand because rich would also listen to ``FORCE_COLOR`` and ``TTY_COMPATIBLE``,
    which build servers set and which would write escape codes into their logs.
    """
    terminal = is_terminal(stream)
    return SafeConsole(
        file=behind(stream),
        force_terminal=terminal,
        color_system="auto" if terminal else None,
        no_color=not terminal or bool(os.environ.get("NO_COLOR")),
        width=None if terminal else UNLIMITED_WIDTH,
        highlight=False,
        markup=False,
        emoji=False,
    )


def print_renderable(renderable: RenderableType, stream: TextIO) -> None:
    """Write a table or text to `stream`: fitted to a terminal, in full elsewhere.

    Characters that the stream's encoding lacks become ``?``: a finished run must not fail over an R².
    """
    console = make_console(stream)
    with console.capture() as capture:
        console.print(renderable)
    text = capture.get()
    if not is_terminal(stream):
        text = "\n".join(line.rstrip() for line in text.split("\n"))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    behind(stream).write(text.encode(encoding, "replace").decode(encoding))
    stream.flush()
