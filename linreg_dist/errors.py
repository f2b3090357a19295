"""Every error the package raises on purpose, and the exit code each becomes.

::

    LinregDistError            1  a run failed
    ├── SpecError              2  bad usage or an invalid job spec
    ├── DataError              3  the data does not fit the spec
    ├── ClusterError           4  the cluster is unreachable, unauthorised or too small (retryable)
    ├── StorageError           4  the storage does not answer (retryable)
    ├── RunFailedError         1  training started and could not finish
    │   ├── RunInUseError      1  another driver works on a run of this name
    │   └── LimitError         1  memory, open files or threads that this machine or process does not allow
    └── InterruptedRunError  130  stopped by Ctrl-C or SIGTERM

Catch the base class to handle all of them::

    try:
        run = linreg_dist.train("job.yaml")
    except linreg_dist.LinregDistError as error:
        sys.exit(error.exit_code)

A message says what was found, what was expected and what to do about it; it may have several lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from linreg_dist.wording.secrets import shown


class LinregDistError(Exception):
    """Base of all errors raised on purpose; ``exit_code`` is what the command line returns for it.

    ``alone`` says that one worker of a group raised it while the others went on: they do not know of it, and
    may be waiting for this one. ``stuck`` has a document for every worker that was found stuck before it.
    The message is safe wherever it goes: it passes `linreg_dist.wording.secrets.shown` when it is made.
    """

    exit_code = 1
    alone = False

    def __init__(self, message: object = "", *, stuck: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(shown(message))
        self.stuck = tuple(stuck)


class SpecError(LinregDistError):
    """The job spec, an override or a command-line value is invalid."""

    exit_code = 2


class DataError(LinregDistError):
    """The data does not fit the spec: a missing column, a wrong type, no rows, a value out of range."""

    exit_code = 3


class ClusterError(LinregDistError):
    """The Ray cluster cannot be reached, refuses us, or can never provide what the job asks for."""

    exit_code = 4


class StorageError(LinregDistError):
    """The object store that holds the data or the run does not answer, or answers that it cannot now."""

    exit_code = 4


class RunFailedError(LinregDistError):
    """Training started and could not finish."""

    exit_code = 1


class RunInUseError(RunFailedError):
    """Another driver works on the run of this name; retryable once that one has ended."""


class LimitError(RunFailedError):
    """A limit of the machine or the process is too low for the job: of memory, open files or threads.

    The message names the limit that was met. The data and the spec may be as good as any.
    """


class InterruptedRunError(LinregDistError):
    """The run was stopped from outside before it finished."""

    exit_code = 130


_BY_NAME: dict[str, type[LinregDistError]] = {
    cls.__name__: cls
    for cls in (
        LinregDistError,
        SpecError,
        DataError,
        ClusterError,
        StorageError,
        RunFailedError,
        RunInUseError,
        LimitError,
        InterruptedRunError,
    )
}


def to_record(error: LinregDistError) -> dict[str, object]:
    """Return ``{"type", "message", "exit_code"}``, and ``"stuck"`` if there were stuck workers: the form in
    which an error crosses a process or a file.
    """
    record: dict[str, object] = {
        "type": type(error).__name__,
        "message": str(error),
        "exit_code": error.exit_code,
    }
    return record | ({"stuck": list(error.stuck)} if error.stuck else {})


def from_record(record: dict[str, object]) -> LinregDistError:
    """Rebuild an error from `to_record`; an unknown type becomes `RunFailedError`."""
    return _BY_NAME.get(str(record["type"]), RunFailedError)(str(record["message"]))
