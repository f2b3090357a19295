"""``linreg-dist train``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from linreg_dist.cli.options import (
    add_option,
    address_option,
    dry_run_option,
    fresh_option,
    if_changed_option,
    json_option,
    overrides_option,
    verbosity_options,
)
from linreg_dist.cli.output import print_json, result_alone
from linreg_dist.errors import RunFailedError
from linreg_dist.wording.names import some_names

if TYPE_CHECKING:
    from linreg_dist.run.progress.follow import EventSink
    from linreg_dist.verbs.updating.changed import IfChanged


@click.command
@click.argument("spec", metavar="[SPEC]", required=False, type=click.Path())
@click.option(
    "--data",
    multiple=True,
    metavar="PATH",
    help="Parquet to train on: a file, folder, glob or URI; with --target it needs no SPEC. Repeatable.",
)
@click.option(
    "--target",
    "targets",
    multiple=True,
    metavar="COL",
    help="The column to predict. Repeatable.",
)
@overrides_option
@address_option
@fresh_option
@dry_run_option
@click.option(
    "--update",
    metavar="RUN",
    type=click.Path(),
    help="Read only what is new since the run in this folder, and add it to its statistics; of a Delta or "
    "Iceberg table, also take away the rows that are gone.",
)
@if_changed_option
@add_option
@click.option(
    "--progress",
    type=click.Choice(["auto", "jsonl"]),
    default="auto",
    help="jsonl writes the lines of metrics.jsonl to stderr as they come, for programs that watch.",
)
@click.option(
    "--until-stdin-closes",
    is_flag=True,
    hidden=True,
    help="Stop as on SIGTERM when standard input closes: whoever started the job is gone.",
)
@json_option
@verbosity_options
def train(
    spec: str | None,
    data: tuple[str, ...],
    targets: tuple[str, ...],
    overrides: tuple[str, ...],
    address: str | None,
    fresh: bool,
    dry_run: bool,
    update: str | None,
    if_changed: IfChanged,
    add: tuple[str, ...],
    progress: str,
    until_stdin_closes: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Run the job in the file SPEC, show its progress, and print its result.

    With --data and --target there need be no file: the run is named after the two, and --set says the rest.
    The run lies in <run.storage_path>/<name>. The same job again continues an unfinished run and reports a
    finished one; --fresh starts over. With --update it adds the files that are new to an earlier run of the
    exact solver, which may be this one. For a job that runs every night: --if-changed update.
    """
    if update is not None and (add or if_changed != "refuse"):
        raise click.UsageError(
            "--update names the run to add to, and --add and --if-changed mean the run of this name; give "
            "one or the other"
        )
    from linreg_dist.cli.begin.without_file import pointing_to_init, read_job
    from linreg_dist.documents import Tick

    if address is not None:
        overrides = (*overrides, f"cluster.address={address}")
    checked = read_job(spec, data, targets, overrides)
    if dry_run:
        from linreg_dist.verbs.validate import check_data

        with pointing_to_init(spec, data, targets):
            plan = check_data(checked)
        if as_json:
            print_json({"status": "dry run", "name": checked.name, **plan.to_json()})
        else:
            click.echo(
                f"would train {checked.name} with the {plan.solver} solver on {plan.rows:,} rows "
                f"in {plan.row_groups} row groups of {plan.files} files; features: "
                f"{some_names(plan.features, 1000)}"
            )
        return

    from linreg_dist.console import print_renderable, result_table
    from linreg_dist.run.watch.interrupts import stop_notice_interrupts, stop_when_closed

    with (
        stop_notice_interrupts(),
        result_alone(),
        _display(progress, quiet=quiet, verbose=verbose) as display,
        pointing_to_init(spec, data, targets),
    ):
        display.event(Tick(progress=0.0, phase="starting"))
        # Only now, because it takes a second, and something is to be seen in the meantime.
        from linreg_dist.verbs.train import train as run_job

        if until_stdin_closes:
            stop_when_closed(sys.stdin.fileno())
        run = run_job(
            checked,
            fresh=fresh,
            verbose=verbose,
            progress=display,
            update=update,
            if_changed=if_changed,
            add=add,
        )
    if run.already_finished and not quiet:
        done = f"{checked.name} has already finished; --fresh runs it again"
        click.echo(done if update is None else f"no file is new since {update}", err=True)
    try:
        if as_json:
            print_json(run.document)
        else:
            print_renderable(result_table(run.document), sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:  # the disk of the log is full, the terminal has gone
        raise RunFailedError(
            f"the result could not be printed ({error.strerror}). The run itself has succeeded: "
            f"{run.path / 'result.json'}"
        ) from error


@contextmanager
def _display(progress: str, *, quiet: bool, verbose: bool) -> Iterator[EventSink]:
    """Yield what shows the job's events on stderr while the ``with`` block runs."""
    from linreg_dist.console import EventLines, ProgressDisplay

    if progress == "jsonl":
        yield EventLines(sys.stderr)
        return
    with ProgressDisplay(sys.stderr, quiet=quiet, verbose=verbose) as display:
        yield display
