"""From an exception to what the user sees and the exit code; the codes are those of `linreg_dist.errors`."""

from __future__ import annotations

import traceback
from collections.abc import Sequence

import click

from linreg_dist.errors import InterruptedRunError, LinregDistError, SpecError, to_record
from linreg_dist.wording.secrets import shown
from linreg_dist.wording.text import safe_json


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Tell the user about `error`, which ended the command line `arguments`, and return its exit code.

    The message goes to stderr. With ``--json``, a document goes to stdout too: ``status`` is ``"failed"`` and
    ``error`` holds ``type``, ``message`` and ``exit_code``. A traceback is shown for an error that nobody
    expected only, and only with ``-v``.
    """
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    record = _record(error)
    if "--json" in arguments:
        click.echo(safe_json({"status": "failed", "error": record}))
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
    return int(str(record["exit_code"]))


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
