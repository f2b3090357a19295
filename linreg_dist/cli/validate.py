"""``linreg-dist validate``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from linreg_dist.cli.options import json_option, overrides_option, spec_argument, verbosity_options
from linreg_dist.cli.output import print_json
from linreg_dist.wording.text import safe_text

if TYPE_CHECKING:
    from linreg_dist.documents import DataCheck
    from linreg_dist.jobspec import JobSpec


@click.command
@spec_argument
@overrides_option
@click.option("--resolved", is_flag=True, help="Print what would run: every field, paths absolute.")
@click.option("--data", "with_data", is_flag=True, help="Also check that the data fits, from its footers.")
@json_option
@verbosity_options
def validate(
    spec: str,
    overrides: tuple[str, ...],
    resolved: bool,
    with_data: bool,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> None:
    """Check the job spec in the file SPEC, and with --data the data, without training.

    Every error is printed as file:line:column: message @ path.
    """
    from linreg_dist.jobspec import expand_matrix, load_spec, resolved_data, resolved_yaml, spec_hash
    from linreg_dist.verbs.available import refuse_unavailable

    checked = load_spec(spec, overrides)
    jobs = expand_matrix(checked)
    for job in jobs:
        refuse_unavailable(job)
    data = _check_data(jobs) if with_data else None
    if as_json:
        document: dict[str, Any] = {
            "status": "valid",
            "name": checked.name,
            "spec_hash": spec_hash(checked),
            "jobs": [job.name for job in jobs],
        }
        if data is not None:
            document["data"] = {name: check.to_json() for name, check in data.items()}
        if resolved:
            document["resolved"] = resolved_data(checked)
        print_json(document)
    elif resolved:
        click.echo(resolved_yaml(checked), nl=False)
    if not quiet and not as_json:
        count = f", {len(jobs)} jobs" if checked.matrix is not None else ""
        click.echo(f"{spec}: valid{count}{'; the data fits' if with_data else ''}", err=True)
        tables = [f"{table.path}: {table.text}" for check in (data or {}).values() for table in check.tables]
        for line in dict.fromkeys(tables):
            click.echo(safe_text(line), err=True)


def _check_data(jobs: list[JobSpec]) -> dict[str, DataCheck]:
    """Check the data of every job, and return each job's summary by its name."""
    from linreg_dist.verbs.validate import check_data

    return {job.name: check_data(job) for job in jobs}
