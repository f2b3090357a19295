"""`follow`: watch a job until it ends, and tell how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from linreg_dist.cluster.interpreter import NOT_FOUND
from linreg_dist.cluster.log_lines import LogLines, as_result
from linreg_dist.cluster.server import Job, JobServer
from linreg_dist.documents import Event, ResultDocument
from linreg_dist.errors import (
    ClusterError,
    DataError,
    InterruptedRunError,
    LinregDistError,
    RunFailedError,
    SpecError,
)

_SECONDS_BETWEEN_LOOKS = 1.0  # Ray's job server tells a job's state only to those who ask
_RECONNECTS = 5
_BY_EXIT_CODE = {cls.exit_code: cls for cls in (SpecError, DataError, ClusterError, InterruptedRunError)}


@dataclass(frozen=True)
class Ending:
    """How a job ended.

    Attributes:
        job: in its last state.
        result: the result document it printed; None if it came to none.
        last_text: the last line it printed.

    """

    job: Job
    result: ResultDocument | None
    last_text: str = ""


def follow(
    server: JobServer,
    job_id: str,
    *,
    on_event: Callable[[Event], None],
    on_text: Callable[[str], None],
    look_every_s: float = _SECONDS_BETWEEN_LOOKS,
) -> Ending:
    """Hand over what the job prints, line by line as it comes, and return when it has ended.

    Args:
        server: the job's server.
        job_id: its submission id.
        on_event: called with each line of the run's ``metrics.jsonl``.
        on_text: called with each other line, but for the result document.
        look_every_s: as in `read_log`.

    Raises:
        ClusterError: the server cannot be reached any more.

    """
    lines = LogLines()

    def take(text: str) -> None:
        for item in lines.feed(text):
            if isinstance(item, str):
                on_text(item)
            else:
                on_event(item)

    job = read_log(server, job_id, take, look_every_s)
    for line in lines.close():
        on_text(line)
    return Ending(job, lines.result, lines.last_text)


def read_log(
    server: JobServer,
    job_id: str,
    take: Callable[[str], None],
    look_every_s: float = _SECONDS_BETWEEN_LOOKS,
) -> Job:
    """Hand over all of a job's log as it grows, and return the job when it has ended.

    A lost connection is made again a few times; what was handed over already is not repeated.

    Args:
        server: the job's server.
        job_id: its submission id.
        take: called with each piece of text.
        look_every_s: seconds between two looks at the job's state while it has not started, or is ending.

    Raises:
        ClusterError: the server cannot be reached any more.

    """
    while server.job(job_id).state == "PENDING":
        time.sleep(look_every_s)
    seen = _read_while_running(server, job_id, take, look_every_s)
    job = wait_for_end(server, job_id, look_every_s)
    rest = server.logs(job_id)[seen:]
    if rest:
        take(rest)
    return job


def wait_for_end(server: JobServer, job_id: str, look_every_s: float = _SECONDS_BETWEEN_LOOKS) -> Job:
    """Wait until the job is in its last state."""
    job = server.job(job_id)
    while not job.is_over:
        time.sleep(look_every_s)
        job = server.job(job_id)
    return job


def job_error(ending: Ending) -> LinregDistError | None:
    """Return the error that a job ended with, of the class that its exit code stands for; None if it
    succeeded.
    """
    job, printed = ending.job, cast(Any, ending.result)
    result = (
        as_result(printed) if isinstance(printed, dict) else printed
    )  # as JSON has it, or checked already
    if job.state == "SUCCEEDED":
        return None
    if job.state == "STOPPED":
        return InterruptedRunError(f"{job.id} was stopped; submit it again to continue from its checkpoints")
    if result and result.error:
        code, message = result.error.exit_code, result.error.message
    else:
        code, message = job.exit_code or 1, job.message or "the job failed"
        if ending.last_text:
            message += f" ({ending.last_text})"
        if NOT_FOUND in ending.last_text:
            code = ClusterError.exit_code
            message = (
                f"{ending.last_text}. Install linreg_dist for one of these, start the head with its "
                "environment on PATH, or use --ship-package where only linreg_dist is lacking"
            )
        elif code == SpecError.exit_code:
            code = RunFailedError.exit_code  # a shell's or interpreter's own 2 says nothing about the spec
    kind = _BY_EXIT_CODE.get(code, RunFailedError) if isinstance(code, int) else RunFailedError
    return kind(f"{job.id} failed: {message}")


def _read_while_running(server: JobServer, job_id: str, take: Callable[[str], None], pause_s: float) -> int:
    """Read the log while the job runs, and return how many characters were taken."""
    seen = 0
    for attempt in range(_RECONNECTS + 1):
        position = 0
        try:
            for text in server.tail(job_id):
                if not text and server.job(job_id).is_over:
                    return seen
                new = text[max(0, seen - position) :]
                position += len(text)
                seen = max(seen, position)
                take(new)
        except ClusterError:
            if attempt == _RECONNECTS:
                raise
            time.sleep(pause_s)
        else:
            return seen
    return seen
