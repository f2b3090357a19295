"""Every Ray worker's side of the watch: it reports its progress every few seconds, and ends itself when it is
stuck.

The rule: a worker is stuck when, for ``run.stuck_after_s``, it has finished nothing (no row group, step,
checkpoint or exchange), has not been waiting for other workers, and has used next to no processor time. It
then reports what it was at and the Python stacks of its threads to the `Board`, and kills its process, which
Ray takes as a lost worker and retries. What cannot be seen from within is the driver's part
(`linreg_dist.run.watch.workers`): a worker that says nothing any more, and workers that all wait for each
other.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

from linreg_dist import liveness
from linreg_dist.errors import LinregDistError, to_record
from linreg_dist.wording.secrets import shown
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

BEAT_S = 2.0
_REPORT_TIMEOUT_S = 10.0
_MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class Place:
    """Where a process of a run is: its rank in its group, its host, and its process there."""

    rank: int
    world_size: int
    host: str
    ip: str
    pid: int


@dataclass(frozen=True)
class Beat(Place):
    """What a worker says of itself.

    Attributes:
        group: the same for all workers that were started together, and for no others.
        node_id: Ray's name of its node.
        started: tells its process from later ones of that pid.
        doing, waiting, idle_s: see `liveness.Sighting`.
        stack_file: on its node; has stacks if the interpreter was held up for long.

    """

    group: str
    node_id: str
    started: str
    doing: str
    waiting: bool
    idle_s: float
    stack_file: str


class Board:
    """What the workers say, in a Ray actor that the driver reads."""

    def __init__(self) -> None:
        self._beats: dict[int, tuple[Beat, float]] = {}
        self._group = ""
        self._sizes: list[int] = []
        self._reports: list[dict[str, Any]] = []
        self._fatal: dict[str, object] | None = None

    def beat(self, beat: Beat) -> None:
        """Take a worker's word; that of a new group replaces all of the one before."""
        if beat.group != self._group:
            self._group = beat.group
            self._sizes.append(beat.world_size)
            self._beats.clear()
        self._beats[beat.rank] = beat, time.monotonic()

    def leave(self, group: str, rank: int) -> None:
        """Forget a worker that has finished, or that is no more."""
        if group == self._group:
            self._beats.pop(rank, None)

    def report(self, report: dict[str, Any]) -> None:
        """Take note of a stuck worker."""
        self._reports.append(report)

    def fail(self, record: dict[str, object]) -> None:
        """Take note of an error that a retry would only repeat."""
        self._fatal = self._fatal or record

    def fatal(self) -> dict[str, object] | None:
        """Return the error that no retry helps against, if one worker had one."""
        return self._fatal

    def look(self) -> tuple[list[tuple[Beat, float]], list[dict[str, Any]], list[int]]:
        """Return the last beats with their ages in seconds, all reports, and the sizes of all groups so
        far.
        """
        now = time.monotonic()
        beats = [(beat, now - at) for _, (beat, at) in sorted(self._beats.items())]
        return beats, self._reports, self._sizes


def stuck_report(
    place: Place, doing: str, how: str, stack: str | None, state: str | None = None
) -> dict[str, Any]:
    """Return the document that describes a stuck process, for messages and result.json.

    Args:
        place: where it is.
        doing: the last that was known of what it did.
        how: one sentence: why it is taken to be stuck.
        stack: the Python stacks of its threads, if they could be had.
        state: of the process, as the system names it.

    """
    where = {key: getattr(place, key) for key in ("rank", "world_size", "host", "ip", "pid")}
    if stack is not None and len(stack) > _MOST_CHARACTERS:
        stack = stack[:_MOST_CHARACTERS] + "\n(cut)"
    told = {"doing": shown(doing), "how": how, "process_state": state}
    return {**where, **told, "stack": None if stack is None else shown(stack)}


def describe_stuck(report: dict[str, Any], *, with_stack: bool) -> str:
    """Return a report as text."""
    text = (
        f"rank {report['rank']} of {report['world_size']} on {report['host']} ({report['ip']}, process "
        f"{report['pid']}) was stuck: {report['how']}; it was at: {report['doing']}"
    )
    if report["process_state"]:
        text += f"; its process was in state {report['process_state']}"
    if with_stack:
        text += f"\n{report['stack']}" if report["stack"] else "; its Python stack could not be had"
    return text


class WorkerWatch:
    """Watches this process while a ``with`` block runs.

    Args:
        board: the actor handle of a `Board`.
        stuck_after_s: the limit; None only lets the driver see that the worker is there.
        rank, world_size: this worker's.

    """

    def __init__(self, board: Any, stuck_after_s: float | None, rank: int, world_size: int) -> None:
        import ray

        context = ray.get_runtime_context()
        self._board = board
        self._limit_s = stuck_after_s
        self._training_thread = threading.get_ident()
        self._ended = threading.Event()
        self._stack_file = _open_stack_file()
        self._self = {
            # Ray's Torch backend gives every group of workers another address to meet at.
            "group": f"{os.environ.get('MASTER_ADDR')}:{os.environ.get('MASTER_PORT')}",
            "rank": rank,
            "world_size": world_size,
            "host": socket.gethostname(),
            "ip": ray.util.get_node_ip_address(),
            "node_id": context.get_node_id(),
            "pid": os.getpid(),
            "started": liveness.process_start(os.getpid()) or "",
            "stack_file": self._stack_file.name,
        }
        self._thread = threading.Thread(target=self._watch, name="watch", daemon=True)

    def __enter__(self) -> Self:
        liveness.process.mark("starting")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()
        self._stack_file.close()
        Path(self._stack_file.name).unlink(missing_ok=True)
        self._board.leave.remote(self._self["group"], self._self["rank"])

    def fatal(self) -> dict[str, object] | None:
        """Return the error of an earlier group that no retry helps against."""
        import ray

        record: dict[str, object] | None = ray.get(self._board.fatal.remote())
        return record

    def fail(self, error: BaseException) -> None:
        """Tell later groups that a retry would only repeat an error."""
        import ray

        if isinstance(error, LinregDistError):
            record = to_record(error)
        else:
            record = {
                "type": type(error).__name__,
                "message": f"{type(error).__name__}: {error} (an error of the program: run again with -v and "
                "look into Ray's log for the traceback)",
                "exit_code": 1,
            }
        with contextlib.suppress(ray.exceptions.RayError):  # without it the error is retried, as others are
            ray.get(self._board.fail.remote(record), timeout=_REPORT_TIMEOUT_S)

    def _watch(self) -> None:
        while not self._ended.is_set():
            beat = self._look()
            self._board.beat.remote(beat)
            if self._limit_s is not None:
                # Needs no interpreter lock, so it also shows who holds it while this thread cannot run.
                faulthandler.dump_traceback_later(max(self._limit_s * 0.8, 2 * BEAT_S), file=self._stack_file)
                if beat.idle_s >= self._limit_s and not beat.waiting:
                    self._end_as_stuck(beat)
            self._ended.wait(BEAT_S if self._limit_s is None else min(BEAT_S, self._limit_s / 4))

    def _look(self) -> Beat:
        seen = liveness.process.look(self._limit_s or 60.0)
        return Beat(**self._self, doing=seen.doing, waiting=seen.waiting, idle_s=seen.idle_s)

    def _end_as_stuck(self, beat: Beat) -> None:
        import ray

        how = f"no progress for {beat.idle_s:.0f} s (run.stuck_after_s is {self._limit_s:g})"
        report = stuck_report(beat, beat.doing, how, liveness.stacks(self._training_thread))
        logger.error("%s", describe_stuck(report, with_stack=True))
        with contextlib.suppress(ray.exceptions.RayError):  # the log has it all the same
            ray.get(self._board.report.remote(report), timeout=_REPORT_TIMEOUT_S)
        # A thread that blocks in a system call cannot be interrupted from Python; Ray restarts the group.
        os.kill(os.getpid(), signal.SIGKILL)


@contextlib.contextmanager
def watched(
    board: Any | None, stuck_after_s: float | None, rank: int, world_size: int
) -> Iterator[WorkerWatch | None]:
    """Watch this process if there is a board; there is none in local mode."""
    if board is None:
        yield None
        return
    with WorkerWatch(board, stuck_after_s, rank, world_size) as watch:
        yield watch


def _open_stack_file() -> TextIO:
    descriptor, path = tempfile.mkstemp(prefix="linreg_dist-stack-", suffix=".txt")
    os.close(descriptor)
    return Path(path).open("w")
