"""``linreg-dist list``."""

from __future__ import annotations

import sys
from datetime import datetime

import click

from linreg_dist.cli.options import json_option, server_address_option
from linreg_dist.cli.output import print_json


@click.command("list")
@server_address_option
@json_option
def list_jobs(address: str | None, as_json: bool) -> None:
    """Print the jobs that were submitted to the cluster with linreg-dist, newest first."""
    from linreg_dist.cluster import JobServer, job_server_address
    from linreg_dist.cluster.status import job_document

    jobs = JobServer(job_server_address(address)).jobs()
    if as_json:
        print_json({"jobs": [job_document(job).to_json() for job in jobs]})
        return
    from rich import box
    from rich.table import Table

    from linreg_dist.console import print_renderable
    from linreg_dist.wording.numbers import format_duration
    from linreg_dist.wording.text import safe_name

    table = Table("job", "state", "started", "took", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for job in jobs:
        started = "" if job.started_ms is None else _local_time(job.started_ms)
        took = (
            ""
            if job.ended_ms is None or job.started_ms is None
            else format_duration((job.ended_ms - job.started_ms) / 1000)
        )
        table.add_row(safe_name(job.id), safe_name(job.state), started, took)
    print_renderable(table, sys.stdout)


def _local_time(unix_ms: int) -> str:
    return datetime.fromtimestamp(unix_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")
