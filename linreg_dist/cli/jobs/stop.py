"""``linreg-dist stop``."""

from __future__ import annotations

import click

from linreg_dist.cli.options import job_argument, json_option, server_address_option
from linreg_dist.cli.output import print_json


@click.command
@job_argument
@server_address_option
@json_option
def stop(job: str, address: str | None, as_json: bool) -> None:
    """Stop JOB, a submission id or a run's name. It keeps its checkpoints: submitted again it continues."""
    from linreg_dist.cluster import JobServer, job_server_address
    from linreg_dist.cluster.follow import wait_for_end
    from linreg_dist.cluster.status import job_document

    server = JobServer(job_server_address(address))
    found = server.find(job)
    was_running = False if found.is_over else server.stop(found.id)
    ended = wait_for_end(server, found.id)
    if as_json:
        print_json({**job_document(ended).to_json(), "was_running": was_running})
    else:
        click.echo(f"{ended.id}: {ended.state}" + ("" if was_running else ", before it was asked to stop"))
