"""``linreg-dist report``."""

from __future__ import annotations

import click

from linreg_dist.cli.options import json_option
from linreg_dist.cli.output import print_json
from linreg_dist.wording.text import safe_text


@click.command
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path())
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    type=click.Path(),
    help="The HTML file to write; a path or a URI. An earlier page is written over, and nothing else.",
)
@json_option
def report(runs: tuple[str, ...], output: str, as_json: bool) -> None:
    """Draw the page of the run in the folder RUN again, or compare the runs in several.

    Nothing but what is kept in the folders is read: no data, no cluster.
    """
    from linreg_dist.verbs.report import report as write

    result = write(runs, output)
    if as_json:
        print_json(result)
    else:
        compared = f": {len(result.runs)} runs compared" if len(result.runs) > 1 else ""
        click.echo(safe_text(f"{result.report}{compared}"))
