"""``linreg-dist logs``."""

from __future__ import annotations

import click

from linreg_dist.cli.options import job_argument, server_address_option


@click.command
@job_argument
@server_address_option
@click.option("-f", "--follow", "follows", is_flag=True, help="Go on until the job ends.")
def logs(job: str, address: str | None, follows: bool) -> int:
    r"""Print what JOB has printed: text, the lines of metrics.jsonl, and the result document.

    Colours are left out, and characters that would steer the terminal are printed as \x1b and the like.

    With -f the exit code is that of the job.
    """
    from linreg_dist.cluster import Ending, JobServer, job_error, job_server_address

    server = JobServer(job_server_address(address))
    found = server.find(job)
    if not follows:
        click.echo(server.logs(found.id), nl=False)
        return 0
    from linreg_dist.cluster.follow import read_log
    from linreg_dist.cluster.log_lines import LogLines

    lines = LogLines()

    def take(text: str) -> None:
        click.echo(text, nl=False)
        for _ in lines.feed(text):
            pass

    ended = read_log(server, found.id, take)
    error = job_error(Ending(ended, lines.result, lines.last_text))
    if error is not None:
        raise error
    return 0
