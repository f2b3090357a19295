"""Error messages and exit codes of the command line; the codes are those of `linreg_dist.errors`."""

from __future__ import annotations

import errno
import os
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from linreg_dist.cli.hints import of_option
from linreg_dist.errors import (
    InterruptedRunError,
    LimitError,
    LinregDistError,
    RunFailedError,
    SpecError,
    to_record,
)
from linreg_dist.limits import limit_met
from linreg_dist.wording.secrets import shown
from linreg_dist.wording.streams import UnwrittenOutputError
from linreg_dist.wording.text import safe_json


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Tell the user about `error`, which ended the command line `arguments`, and return its exit code.

    The message goes to stderr. With ``--json``, a document goes to stdout too: ``status`` is ``"failed"`` or
    ``"interrupted"``, as in result.json, and ``error`` holds ``type``, ``message`` and ``exit_code``. A
    traceback is shown for an error that nobody expected only, and only with ``-v``.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if not _is_verbose(arguments):
        error = _of_output(error) or _of_a_path(error) or _of_a_limit(error) or error
    if isinstance(error, click.NoSuchOption):
        error = of_option(error, arguments)
    record = _record(error)
    with suppress(OSError):  # the exit code says it where nothing can be printed
        _print(error, record, arguments)
    return int(str(record["exit_code"]))


def _print(error: BaseException, record: dict[str, object], arguments: Sequence[str]) -> None:
    if "--json" in arguments:
        with suppress(OSError):
            interrupted = record["exit_code"] == InterruptedRunError.exit_code
            status = "interrupted" if interrupted else "failed"
            click.echo(safe_json({"status": status, "error": record}))
    if isinstance(error, click.ClickException):
        error.show()
    elif isinstance(error, SpecError):
        click.echo(str(error), err=True)  # bare lines, so that an editor finds file:line:column in them
    elif isinstance(error, LinregDistError | click.Abort | KeyboardInterrupt):
        click.echo(f"Error: {record['message']}", err=True)
    elif _is_verbose(arguments):
        click.echo("".join(traceback.format_exception(error)), err=True, nl=False)
    else:
        text = f"Error: {record['message']} ({record['type']}); run again with -v for the traceback"
        click.echo(text, err=True)


def _of_output(error: BaseException) -> RunFailedError | None:
    """Return what to say of a result that could not be printed; None of any other error."""
    return RunFailedError(error.strerror) if isinstance(error, UnwrittenOutputError) else None


def _of_a_path(error: BaseException) -> SpecError | None:
    """Return what is wrong with a path that the system refuses, wherever it was given; None if it is not
    one.
    """
    if isinstance(error, UnicodeEncodeError):
        return SpecError(f"a path has bytes that are no UTF-8 text ({ascii(error.object)[:200]}); rename it")
    if not isinstance(error, OSError) or error.errno not in _PATH_ERRORS:
        return None
    if error.filename is None and error.errno == errno.ENOENT and not _has_current_directory():
        return SpecError("the current directory was deleted; go to one that is there (cd)")
    if error.filename is None and "temporary directory" in str(error):
        return SpecError("no temporary folder can be written to; set TMPDIR to one that can")
    named = [text for text in (error.filename, error.filename2) if isinstance(text, str)]
    where = " and ".join(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…" for text in named)
    why = os.strerror(error.errno)
    return SpecError(
        shown(f"{where or 'a path that was given'} cannot be used: {why}. Check it, or give another")
    )


def _has_current_directory() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _of_a_limit(error: BaseException) -> LimitError | None:
    """Return what to say of memory, files or threads that could not be had; None of any other error."""
    if isinstance(error, LinregDistError | click.ClickException):
        return None
    met = limit_met(error)
    return None if met is None else LimitError(met)


_PATH_ERRORS = (
    errno.EACCES,
    errno.EEXIST,
    errno.EISDIR,
    errno.ELOOP,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOTDIR,
    errno.ENXIO,
    errno.EPERM,
    errno.EROFS,
)
_LONGEST = 200


def _record(error: BaseException) -> dict[str, object]:
    if isinstance(error, LinregDistError):
        return to_record(error)
    if isinstance(error, click.ClickException):
        return {
            "type": type(error).__name__,
            "message": shown(error.format_message()),
            "exit_code": SpecError.exit_code,
        }
    if isinstance(error, click.Abort | KeyboardInterrupt):
        return to_record(InterruptedRunError("interrupted"))
    message = " ".join(shown(error).split()) or "an unexpected error"
    return {"type": type(error).__name__, "message": message, "exit_code": 1}


def _is_verbose(arguments: Sequence[str]) -> bool:
    """Look for ``-v`` in the arguments themselves: the error may have come before they were parsed."""
    return any(
        argument == "--verbose" or (argument[:1] == "-" and argument[1:2] != "-" and "v" in argument[1:])
        for argument in arguments
    )
