from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.text import Text

from linreg_dist.console import print_renderable

ESCAPE = "\x1b"


def test_a_terminal_gets_colour(make_terminal: Callable[[int], io.StringIO]) -> None:
    stream = make_terminal(80)
    print_renderable(Text("failed", style="red"), stream)
    assert ESCAPE in stream.getvalue()


def test_no_color_removes_colour_from_a_terminal(
    make_terminal: Callable[[int], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = make_terminal(80)
    monkeypatch.setenv("NO_COLOR", "1")
    print_renderable(Text("failed", style="red"), stream)
    assert stream.getvalue() == "failed\n"


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_what_is_not_a_terminal_never_gets_escape_codes(
    monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, "1")
    stream = io.StringIO()
    print_renderable(Text("failed", style="red"), stream)
    assert stream.getvalue() == "failed\n"


def test_a_dumb_terminal_gets_plain_text(
    make_terminal: Callable[[int], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = make_terminal(80)
    monkeypatch.setenv("TERM", "dumb")
    print_renderable(Text("failed", style="red"), stream)
    assert stream.getvalue() == "failed\n"


def test_long_lines_are_broken_on_a_terminal_and_nowhere_else(
    make_terminal: Callable[[int], io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = " ".join(["word"] * 100)
    terminal = make_terminal(40)
    print_renderable(Text(sentence), terminal)
    assert max(map(len, terminal.getvalue().splitlines())) <= 40
    pipe = io.StringIO()
    print_renderable(Text(sentence), pipe)
    assert pipe.getvalue() == sentence + "\n"


def test_a_character_outside_the_streams_encoding_is_replaced() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    print_renderable(Text("R² 0.84"), stream)
    assert raw.getvalue() == b"R? 0.84\n"
