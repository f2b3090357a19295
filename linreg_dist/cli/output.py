"""stdout: it belongs to the result, whatever libraries and the processes that they start print there."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import click

from linreg_dist.wording.text import safe_json

if TYPE_CHECKING:
    from linreg_dist.documents import Document


def print_json(document: Document | dict[str, Any]) -> None:
    """Print `document` as one JSON document on stdout; NaN and infinity, which JSON lacks, are refused.

    Its texts are exact: what is unsafe to show is escaped as JSON does it.
    """
    plain = document if isinstance(document, dict) else document.to_json()
    click.echo(safe_json(plain, indent=2, allow_nan=False))


@contextmanager
def result_alone() -> Iterator[None]:
    """Send to stderr what this process's code prints within the block: Ray prints what its workers say."""
    out = sys.stdout
    out.flush()
    sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = out


def open_closed_streams() -> None:
    """Let stdin, stdout and stderr that whoever started us has closed be empty ones.

    Else the next file or socket would get their number, and what is printed would be written there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, flags)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            os.set_inheritable(number, True)
        if getattr(sys, name) is None:
            null = os.open(os.devnull, flags)
            setattr(sys, name, open(null, "r" if number == 0 else "w"))  # noqa: SIM115 (stays open)


def claim_stdout() -> None:
    """Keep stdout for ``sys.stdout`` alone: what C++ code and child processes write there goes to stderr."""
    with suppress(OSError, ValueError, AttributeError):  # one of them is closed: nothing can be mixed up
        sys.stdout.flush()
        ours = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        buffering = 1 if os.isatty(ours) else -1
        sys.stdout = open(  # noqa: SIM115 (stays open)
            ours, "w", buffering, encoding=sys.stdout.encoding, errors=sys.stdout.errors
        )
