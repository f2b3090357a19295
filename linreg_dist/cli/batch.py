"""``linreg-dist batch``."""

from __future__ import annotations

import sys

import click

from linreg_dist.cli.options import (
    address_option,
    dry_run_option,
    fresh_option,
    json_option,
    overrides_option,
    verbosity_options,
)
from linreg_dist.cli.output import print_json
from linreg_dist.errors import SpecError


@click.command
@click.argument("specs", metavar="SPEC...", type=click.Path(), nargs=-1, required=True)
@click.option(
    "--max-concurrent",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Jobs to run at a time.",
)
@click.option(
    "--resume", is_flag=True, help="Run only what is unfinished; take the runs that succeeded as they are."
)
@overrides_option
@address_option
@fresh_option
@dry_run_option
@json_option
@verbosity_options
def batch(
    specs: tuple[str, ...],
    max_concurrent: int,
    resume: bool,
    overrides: tuple[str, ...],
    address: str | None,
    fresh: bool,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Run the jobs in the files SPEC..., and every combination where one has a matrix, and print one table.

    Each job runs in a process of its own. A job that fails does not stop the rest; the exit code is 1 if any
    failed.
    """
    from linreg_dist.jobspec import JobSpec, expand_matrix, load_spec

    if fresh and resume:
        raise click.UsageError("--fresh and --resume exclude each other; give one of them")
    if address is not None:
        overrides = (*overrides, f"cluster.address={address}")
    jobs: list[JobSpec] = []
    failures: list[str] = []
    for spec in specs:
        try:
            jobs += expand_matrix(load_spec(spec, overrides))
        except SpecError as error:
            failures.append(str(error))
    if failures:
        raise SpecError("\n".join(failures))
    if dry_run:
        if as_json:
            print_json({"status": "dry run", "jobs": [job.name for job in jobs]})
        else:
            click.echo(f"would run {len(jobs)} jobs, {max_concurrent} at a time:")
            click.echo("\n".join(f"  {job.name}" for job in jobs))
        return 0

    from linreg_dist.console import batch_table, print_renderable
    from linreg_dist.verbs.batch import JobOutcome, run_batch

    ended = 0

    def notify(outcome: JobOutcome) -> None:
        nonlocal ended
        ended += 1
        text = outcome.status if outcome.ran else f"{outcome.status} before"
        detail = f": {outcome.error}" if outcome.error else f" ({outcome.seconds:.1f} s)"
        click.echo(f"[{ended}/{len(jobs)}] {outcome.name} {text}{detail}", err=True)

    result = run_batch(
        jobs,
        max_concurrent=max_concurrent,
        resume=resume,
        fresh=fresh,
        verbose=verbose,
        notify=None if quiet else notify,
    )
    if as_json:
        print_json(result.document())
    else:
        print_renderable(batch_table(result.document()), sys.stdout)
    return result.exit_code
