from __future__ import annotations

import io
from collections.abc import Callable

import pytest


class Terminal(io.StringIO):
    """A stream that says it is a terminal and keeps what is written."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def make_terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Terminal]:
    """Return a maker of terminals of a given width, free of what the surrounding environment asks for."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")

    def make(width: int) -> Terminal:
        monkeypatch.setenv("COLUMNS", str(width))
        return Terminal()

    return make
