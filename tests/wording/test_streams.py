"""The boundary to the console and to logs."""

from __future__ import annotations

import ast
import io
import logging
import sys
from pathlib import Path

import click
import pytest

import linreg_dist
from linreg_dist.wording.streams import SafeStream, behind, get_logger, safe, safe_console

NASTY = "\x1b]0;PWN\x07\x1b[2J\u202e\x9b"
SEEN = "\\x1b]0;PWN\\x07\\x1b[2J\\u202e\\x9b"


def test_whatever_is_printed_is_safe(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with safe_console():
        print(NASTY)
        click.echo("\u202e", err=True)  # click itself drops escape sequences where nobody would see them
        sys.stderr.writelines([NASTY, "\n"])
    out, err = capsys.readouterr()
    assert out == f"{SEEN}\n"
    assert err == f"\\u202e\n{SEEN}\n"
    assert (sys.stdout, sys.stderr) == before


def test_messages_are_masked_and_documents_stay_exact(capsys: pytest.CaptureFixture[str]) -> None:
    uri = "s3://KEY:hush@bucket/x"
    with safe_console():
        print(uri)
        print(uri, file=sys.stderr)
    out, err = capsys.readouterr()
    assert out == f"{uri}\n"
    assert err == "s3://***@bucket/x\n"


def test_a_safe_stream_is_a_stream_and_is_put_up_once() -> None:
    stream = io.StringIO()
    guarded = safe(stream)
    assert isinstance(guarded, SafeStream)
    assert safe(guarded) is guarded
    assert behind(guarded) is stream
    assert behind(stream) is stream
    assert not guarded.isatty()
    assert guarded.write("\x1b") == 1


@pytest.mark.parametrize("level", ["debug", "warning", "error"])
def test_every_record_of_ours_is_safe(level: str, caplog: pytest.LogCaptureFixture) -> None:
    logger = get_logger("linreg_dist.test")
    with caplog.at_level(logging.DEBUG):
        getattr(logger, level)("cannot read %s of s3://K:hush@b/x", NASTY)
    assert caplog.records[-1].getMessage() == f"cannot read {SEEN} of s3://***@b/x"
    assert "\x1b" not in caplog.text


def test_the_traceback_in_a_record_is_safe(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError(NASTY)
    except ValueError:
        get_logger("linreg_dist.test").exception("it failed")
    assert "\x1b" not in caplog.text
    assert SEEN in caplog.text


def test_no_module_makes_a_logger_of_its_own() -> None:
    root = Path(linreg_dist.__file__).parent
    makers = [
        path.name
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node) == "logging.getLogger(__name__)"
    ]
    assert makers == []
