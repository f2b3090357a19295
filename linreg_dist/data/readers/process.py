"""One reader process, as its caller sees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import Any

from linreg_dist.data.readers.wire import ClosedError, SilentError, receive, send
from linreg_dist.errors import from_record

# As a program rather than ``-m``, which would put the working directory, and whatever is in it, in front of
# the library. The reader finds the modules that its caller does.
_PROGRAM = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from linreg_dist.data.readers.child import main; main(int(sys.argv[2]))"
)
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
_PATIENCE_S = 60.0  # without a beat, of which there is one every two seconds
_SHOWN_BYTES = 2000


class LostReaderError(Exception):
    """A reader ended, or had to be ended; says how."""


class BrokenTaskError(Exception):
    """A task raised what no reader can help; holds its traceback."""


class ReaderProcess:
    """A process that applies one task to row groups, one at a time.

    Args:
        task: what to do; its ``open()`` returns a function of a row group's index. Must be importable there.

    """

    def __init__(self, task: Any) -> None:
        # In memory: no folder can be written to in some containers. `stop` closes it.
        self._said = os.fdopen(os.memfd_create("linreg_dist-reader"), "w+b")
        environment = {**os.environ, **dict.fromkeys(_ONE_THREAD, "1")}
        paths = [path or os.getcwd() for path in sys.path]
        self._process = subprocess.Popen(  # noqa: S603  # our own interpreter, no shell
            [sys.executable, "-P", "-c", _PROGRAM, json.dumps(paths), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment,
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101  # for mypy: they are pipes
        assert self._process.stdout is not None  # noqa: S101
        self._questions, self._answers = self._process.stdin.fileno(), self._process.stdout.fileno()
        self._task: Any = task
        self._is_ready = False

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def apply(self, index: int, *, is_again: bool = False) -> Any:
        """Return what the task makes of a row group; ``is_again`` reads it with care.

        Raises:
            LinregDistError: what the task raised.
            BrokenTaskError: it raised something else.
            LostReaderError: the process is gone.

        """
        try:
            if not self._is_ready:
                send(self._questions, ("task", self._task))
                self._answer()
                self._is_ready, self._task = True, None
            send(self._questions, ("row group", (index, is_again)))
            return self._answer()
        except ClosedError:
            raise LostReaderError(self._end()) from None
        except SilentError:
            self.kill()
            self._end()
            raise LostReaderError(f"gave no sign of life for {_PATIENCE_S:g} s and was ended") from None

    def kill(self) -> None:
        """End the process now; whoever waits for its answer is told."""
        with suppress(ProcessLookupError):
            self._process.kill()

    def stop(self) -> None:
        """End the process and wait for it."""
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._said):
            if stream is not None:
                stream.close()

    def _answer(self) -> Any:
        while True:
            kind, content = receive(self._answers, _PATIENCE_S)
            if kind in ("ready", "done"):
                return content
            if kind == "failed":
                record, alone = content
                error = from_record(record)
                error.alone = alone
                raise error
            if kind == "broken":
                raise BrokenTaskError(content)

    def _end(self) -> str:
        """Return how the process ended, with the last line that it wrote."""
        code = self._process.wait()
        how = f"ended with status {code}"
        if code < 0:
            how = f"was ended by {signal.Signals(-code).name}"
            if code == -signal.SIGKILL:
                how += " (the kernel does so where memory runs out)"
        try:
            self._said.seek(0, os.SEEK_END)
            self._said.seek(max(0, self._said.tell() - _SHOWN_BYTES))
            lines = self._said.read().decode(errors="replace").strip().splitlines()
        except (OSError, ValueError):
            lines = []
        return f"{how}: {lines[-1]}" if lines else how
