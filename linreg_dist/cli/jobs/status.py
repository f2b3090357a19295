"""``linreg-dist status``."""

from __future__ import annotations

import click

from linreg_dist.cli.options import job_argument, json_option, server_address_option
from linreg_dist.cli.output import print_json


@click.command
@job_argument
@server_address_option
@json_option
def status(job: str, address: str | None, as_json: bool) -> None:
    """Print the state of JOB, a submission id or a run's name, and how far it is."""
    from linreg_dist.cluster import JobServer, job_server_address, status_document

    server = JobServer(job_server_address(address))
    document = status_document(server, server.find(job))
    if as_json:
        print_json(document)
        return
    from linreg_dist.wording.numbers import format_duration, format_number
    from linreg_dist.wording.text import safe_name

    click.echo(f"{safe_name(document.job)}: {safe_name(document.state)}")

    if document.phase:
        click.echo(f"phase      {safe_name(document.phase)}")
    if document.progress_percentage is not None:
        click.echo(f"progress   {document.progress_percentage:.0f} %")
    if document.estimated_remaining_s:
        click.echo(f"remaining  {format_duration(document.estimated_remaining_s)}")
    for name, value in (document.metrics.to_json() if document.metrics else {}).items():
        if name.endswith("_mse") and value is not None:
            click.echo(f"{name}  {format_number(value)}")
    if document.state == "FAILED":
        error = document.result.error if document.result else None
        click.echo(f"error      {error.message if error else document.message}")
    click.echo(f"run        {safe_name(str(document.run_folder))}")
