"""``linreg-dist`` as a child process: its progress as it comes, its result at the end, and a way to stop it.

The child ends with its parent: it stops, with a result that says so, when the pipe to its standard input
closes, so that an orchestrator that is killed leaves no job behind that nobody watches.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO

from linreg_dist.cluster.log_lines import LogLines
from linreg_dist.documents import Event
from linreg_dist.integrations.outcome import JobEnd, end_of
from linreg_dist.wording.json_text import parse_object
from linreg_dist.wording.text import safe_text

STOPS_WITHIN_S = 10.0
"""Seconds that a command has to end after it was told to stop; then it is killed."""

_LOOKS_EVERY_S = 0.5
_PIPES_END_WITHIN_S = 2.0  # after the process has


def linreg_dist_command(*arguments: str) -> list[str]:
    """Return the command line of a verb, run by this process's interpreter."""
    return [sys.executable, "-m", "linreg_dist", *arguments]


def train_command(
    spec: str,
    *,
    overrides: Sequence[str] = (),
    fresh: bool = False,
    options: Sequence[str] = (),
) -> list[str]:
    """Return the command that trains here and is watched by `run_command`.

    Args:
        spec: a spec file.
        overrides: ``["model.l2=0.1"]``.
        fresh: start over where a run of this name exists.
        options: more of ``train``'s.

    """
    chosen = [*options, *(["--fresh"] if fresh else [])]
    for override in overrides:
        chosen += ["--set", override]
    return linreg_dist_command(
        "train", spec, *chosen, "--json", "--progress", "jsonl", "--until-stdin-closes"
    )


def run_command(
    command: Sequence[str],
    *,
    on_event: Callable[[Event], None] = lambda event: None,
    on_text: Callable[[str], None] = lambda line: None,
    stop: threading.Event | None = None,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
) -> JobEnd:
    """Run a command and return how it ended; whatever interrupts the wait stops the command first.

    Args:
        command: a verb with ``--json``, see `linreg_dist_command`.
        on_event: called with each line of progress (``--progress jsonl``), on the calling thread.
        on_text: called with each other line of stderr.
        stop: once it is set, the command is told to stop; it then ends with 130.
        cwd: the folder to run in; by default this process's.
        env: more variables for its environment.

    """
    with subprocess.Popen(  # noqa: S603 (a list, no shell; what is run is the caller's to say)
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        start_new_session=True,  # a Ctrl-C at a terminal reaches it through us alone, and so once
    ) as process:
        try:
            return _watch(process, on_event, on_text, stop)
        except BaseException:
            stop_process(process)
            raise


def stop_process(process: subprocess.Popen[bytes], within_s: float = STOPS_WITHIN_S) -> None:
    """Tell a process to stop, and kill it if it has not ended in time."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _watch(
    process: subprocess.Popen[bytes],
    on_event: Callable[[Event], None],
    on_text: Callable[[str], None],
    stop: threading.Event | None,
) -> JobEnd:
    assert process.stdout is not None  # noqa: S101 (mypy: both are pipes)
    assert process.stderr is not None  # noqa: S101
    printed = _Reader(process.stdout)
    said = _Reader(process.stderr)
    lines = LogLines()

    def hand_over(text: str) -> None:
        for item in lines.feed(text):
            if not isinstance(item, str):
                on_event(item)
            elif item.strip():
                on_text(safe_text(item))

    stopper = _Stopper(process)
    while not said.wait(_LOOKS_EVERY_S):
        hand_over(said.take())
        if stop is not None and stop.is_set():
            stopper.start()
        if process.poll() is not None:  # what it has started may hold the pipe open
            said.wait(_PIPES_END_WITHIN_S)
            break
    hand_over(said.take() + "\n")
    code = process.wait()
    printed.wait(_PIPES_END_WITHIN_S)
    return end_of(code, _document(printed.take()), lines.last_text)


class _Stopper:
    """Stops a process from a thread, once."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._thread = threading.Thread(target=stop_process, args=(process,), daemon=True)
        self._started = False

    def start(self) -> None:
        if not self._started:
            self._started = True
            self._thread.start()


class _Reader:
    """Collects what a pipe gives, on a thread, so that no full pipe holds up the process behind it."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._pieces: list[bytes] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        threading.Thread(target=self._read, name="read-command", daemon=True).start()

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end of the pipe, for so long at most, and return whether it has come."""
        return self._ended.wait(timeout_s)

    def take(self) -> str:
        """Return what has come since the last call, up to the last whole line unless the pipe has ended."""
        ended = self._ended.is_set()
        with self._lock:
            content, self._pieces = b"".join(self._pieces), []
            if not ended:
                whole = content.rfind(b"\n") + 1
                content, rest = content[:whole], content[whole:]
                self._pieces = [rest] if rest else []
        return content.decode(errors="replace")

    def _read(self) -> None:
        with suppress(OSError, ValueError):  # closed by the other side
            while piece := os.read(self._pipe.fileno(), 1 << 16):
                with self._lock:
                    self._pieces.append(piece)
        self._ended.set()


def _document(text: str) -> dict[str, object] | None:
    """Return the JSON object that a command printed; None if that is none."""
    try:
        return parse_object(text)
    except ValueError:
        return None
