"""The command line within this process: what it prints and its exit code, within time and memory."""

from __future__ import annotations

import contextlib
import io
import resource
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from linreg_dist.cli import main

SECONDS = 60
MOST_PRINTED = 1 << 20
MOST_GROWTH = 1 << 30


@dataclass(frozen=True)
class Done:
    """How a verb ended."""

    code: int
    out: str
    err: str


def verb(*arguments: object) -> Done:
    """Run a verb.

    Raises:
        AssertionError: it took too long, printed without end, or showed a traceback.

    """
    out, err = io.StringIO(), io.StringIO()
    with within_bounds(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main.run([str(argument) for argument in arguments])
    done = Done(code, out.getvalue(), err.getvalue())
    assert "Traceback" not in done.err, done.err
    assert len(done.out) + len(done.err) < MOST_PRINTED, "it prints without end"
    return done


@contextlib.contextmanager
def within_bounds() -> Iterator[None]:
    """Bound the seconds and the memory that the block may take."""

    def over(number: int, frame: Any) -> None:
        raise AssertionError(f"no answer in {SECONDS} s")

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    handler = signal.signal(signal.SIGALRM, over)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < MOST_GROWTH, f"memory grew by {grown >> 20} MiB"
