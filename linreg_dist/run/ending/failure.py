"""The result of a run that did not succeed: a result.json that says why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from linreg_dist.documents import ErrorRecord, ResultDocument, SolverDocument
from linreg_dist.errors import (
    InterruptedRunError,
    LimitError,
    LinregDistError,
    RunFailedError,
    SpecError,
    StorageError,
    to_record,
)
from linreg_dist.jobspec import JobSpec
from linreg_dist.limits import let_through, limit_met
from linreg_dist.run.ending.versions import versions_of
from linreg_dist.run.folder import FAILED, INTERRUPTED, RunFolder
from linreg_dist.storage import no_patience
from linreg_dist.storage.free_space import describe_room
from linreg_dist.wording.secrets import shown
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)


def error_record(error: BaseException, exit_code: int = 1) -> ErrorRecord:
    """Return the record of an error; ``exit_code`` is of one that does not say its own."""
    if isinstance(error, LinregDistError):
        return ErrorRecord.from_json(to_record(error))
    met = limit_met(error)
    if met is not None:
        return ErrorRecord.from_json(to_record(LimitError(met)))
    return ErrorRecord(type=type(error).__name__, message=shown(error), exit_code=exit_code)


def failed_result(spec: JobSpec, error: BaseException) -> ResultDocument:
    """Return the result document of a run that ``error`` ended."""
    interrupted = isinstance(error, InterruptedRunError | KeyboardInterrupt)
    return ResultDocument(
        status=INTERRUPTED if interrupted else FAILED,
        name=spec.name,
        solver=SolverDocument(name=spec.solver.name),
        model=None,
        report=None,
        rows=None,
        metrics=None,
        timing=None,
        versions=versions_of(),
        error=error_record(error, exit_code=130 if interrupted else 1),
    )


@contextmanager
def explain_unwritten(folder: RunFolder) -> Iterator[None]:
    """Turn the failure to write a run's files, as on a full disk, into what a user can act on.

    Raises:
        RunFailedError: names the file and the bytes that are free.

    """
    try:
        yield
    except OSError as error:
        let_through(error)
        file = error.filename or folder.path
        room = describe_room(folder.path, error)
        raise RunFailedError(
            f"the run's files could not be written: {file}: {error.strerror or error}; "
            f"{room}. Make room and start the same job again: it continues from its "
            "last checkpoint"
        ) from error


def record_failure(folder: RunFolder, spec: JobSpec, error: BaseException) -> None:
    """Write the result of a run that ``error`` ended."""
    with unwritten_logged(folder, error):
        folder.finish(failed_result(spec, error))


@contextmanager
def unwritten_logged(folder: RunFolder, error: BaseException) -> Iterator[None]:
    """Let a disk or a store that refuses the failed result not hide what went wrong before; do not wait for a
    store that is known not to answer.
    """
    try:
        with no_patience() if isinstance(error, StorageError) else nullcontext():
            yield
    except (OSError, StorageError, SpecError) as refused:
        logger.error("%s could not be written: %s", folder.result_json, refused)
