"""The entry point ``linreg-dist``: which verbs there are, and where each one lives.

A verb's module is imported when the verb is used, so that ``--help`` loads nothing but click. To add a verb,
write a click command in a module of its own and name it in `VERBS`.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import NoReturn

import click

from linreg_dist._version import __version__
from linreg_dist.cli.errors import report
from linreg_dist.cli.output import claim_stdout, open_closed_streams
from linreg_dist.wording.secrets import show_on_one_line
from linreg_dist.wording.streams import safe_console

_THREADS_END_WITHIN_S = 2.0

VERBS: dict[str, tuple[str, str]] = {
    "demo": ("linreg_dist.cli.begin.demo:demo", "Train on sample data, and say what to try next."),
    "init": ("linreg_dist.cli.begin.init:init", "Draft a commented job spec from the data."),
    "train": ("linreg_dist.cli.train:train", "Run one job here or on a cluster, and print its result."),
    "batch": ("linreg_dist.cli.batch:batch", "Run many specs, or one with a matrix; print one table."),
    "submit": (
        "linreg_dist.cli.jobs.submit:submit",
        "Send a job to a Ray cluster's job server, and follow it.",
    ),
    "status": ("linreg_dist.cli.jobs.status:status", "Print a submitted job's state and progress."),
    "logs": ("linreg_dist.cli.jobs.logs:logs", "Print what a submitted job has printed; -f goes on."),
    "stop": ("linreg_dist.cli.jobs.stop:stop", "Stop a submitted job."),
    "list": ("linreg_dist.cli.jobs.list_jobs:list_jobs", "List the submitted jobs."),
    "evaluate": ("linreg_dist.cli.models.evaluate:evaluate", "Measure a saved model on Parquet."),
    "predict": ("linreg_dist.cli.models.predict:predict", "Score Parquet into Parquet, row for row."),
    "export": (
        "linreg_dist.cli.models.export:export",
        "Write a model as ONNX, scikit-learn, SQL or MLflow.",
    ),
    "show": ("linreg_dist.cli.models.show:show", "Print a model's coefficients, fit and provenance."),
    "report": ("linreg_dist.cli.models.report:report", "Draw a run's page again, or compare several runs."),
    "validate": (
        "linreg_dist.cli.validate:validate",
        "Check a job spec, and with --data the data, without training.",
    ),
    "stats": ("linreg_dist.cli.stats:stats", "Merge, subtract and solve saved statistics without the data."),
    "inspect": ("linreg_dist.cli.inspect:inspect", "Say what Parquet is like and what would speed it up."),
    "schema": ("linreg_dist.cli.schema:schema", "Print the JSON Schema of the job spec."),
}
"""Each verb's ``module:function`` and its line in ``--help``, in the order of ``--help``."""


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, not when they are listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the verbs in the order of the table."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a verb; None if there is no such verb."""
        if cmd_name not in VERBS:
            return None
        module, _, function = VERBS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), function)
        if not isinstance(command, click.Command):
            raise TypeError(f"{VERBS[cmd_name][0]} is no click command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb that `args` begin with; for an unknown one, say which is meant."""
        if args and args[0] not in VERBS and not args[0].startswith("-"):
            from linreg_dist.cli.hints import of_verb

            raise click.UsageError(f'there is no verb "{args[0]}"; {of_verb(args[0], list(VERBS))}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs with the lines of the table, importing none."""
        with formatter.section("Verbs"):
            formatter.write_dl([(verb, line) for verb, (_, line) in VERBS.items()])


@click.group(
    cls=LazyGroup,
    subcommand_metavar="VERB ...",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 success, 1 the run failed, 2 bad usage or invalid spec, 3 the data does not fit "
    "the spec, 4 cluster or storage unreachable or unauthorised, 130 interrupted.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Distributed linear regression on Parquet data."""


def run(arguments: Sequence[str]) -> int:
    """Run the command line `arguments` and return the exit code; no exception leaves it.

    What is printed meanwhile, by whom ever, passes `safe_console`.
    """
    with suppress(OSError):  # of a current directory that was deleted
        show_on_one_line(os.getcwd())
    for argument in arguments:
        for text in (argument, argument.partition("=")[2]):
            show_on_one_line(text)
            show_on_one_line(os.path.normpath(text))
    with safe_console():
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        result = cli.main(args=list(arguments), prog_name="linreg-dist", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read our output has gone, as in `| head`. What is still buffered must not fail at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except BaseException as error:  # noqa: BLE001 (the last handler there is: it turns everything into an exit code)
        return report(error, arguments)
    return result if isinstance(result, int) else 0


def main() -> NoReturn:
    """Run the command line of this process and exit."""
    _interrupt_on_stop_notices()
    open_closed_streams()
    claim_stdout()
    code = run(sys.argv[1:])
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stdout.flush()
    sys.stdout = sys.stderr  # what libraries say at exit is no part of the result
    # A success leaves other threads their time: a tracker's may still send.
    if (code != 0 or _has_left_a_read()) and (_has_blocked_thread() or _waits_for_a_store()):
        sys.stderr.flush()
        os._exit(code)  # Python's own exit would wait for the thread
    sys.exit(code)


def _interrupt_on_stop_notices() -> None:
    """Let a notice to stop, and the end of the terminal, interrupt any verb as Ctrl-C does.

    Under ``nohup`` the end of the terminal is ignored, and stays so.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def _waits_for_a_store() -> bool:
    """Return whether a thread is left behind in a request that gets no answer."""
    answer = sys.modules.get("linreg_dist.storage.answer")
    return answer is not None and bool(answer.has_abandoned())


def _has_left_a_read() -> bool:
    """Return whether a read goes on that nobody waits for any more, such as one for the diagnostics."""
    liveness = sys.modules.get("linreg_dist.liveness")
    return liveness is not None and bool(liveness.process.is_at_work)


def _has_blocked_thread() -> bool:
    """Return whether a thread that Python would wait for does not end by itself, as in a read that blocks."""
    deadline = time.monotonic() + _THREADS_END_WITHIN_S
    others = [t for t in threading.enumerate() if t is not threading.main_thread() and not t.daemon]
    for thread in others:
        thread.join(max(0.0, deadline - time.monotonic()))
    return any(thread.is_alive() for thread in others)
