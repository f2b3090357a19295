"""``linreg-dist init``."""

from __future__ import annotations

import click

from linreg_dist.cli.options import json_option
from linreg_dist.cli.output import print_json
from linreg_dist.wording.names import some_names


@click.command
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--target",
    "targets",
    metavar="COL",
    multiple=True,
    help="The column to predict. Repeatable. Left out: the obvious one, or a list to choose from.",
)
@click.option("-o", "output", metavar="SPEC", type=click.Path(), help="Write the draft to this new file.")
@json_option
def init(data: tuple[str, ...], targets: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """Draft a commented job spec from the Parquet in DATA: it trains as it is.

    The draft goes to stdout unless -o names a file. Columns that are constant, that identify rows or that
    cannot be used are left out, each with the reason in a comment.
    """
    from linreg_dist.verbs.begin.init import init as draft

    drafted = draft(list(data), targets, output)
    if as_json:
        print_json(drafted)
        return
    if drafted.path is None:
        click.echo(drafted.spec, nl=False)
    else:
        predicted, number = some_names(drafted.targets), len(drafted.features)
        left_out = f"; left out: {some_names(drafted.left_out, 8)}" if drafted.left_out else ""
        click.echo(
            f"wrote {drafted.path}: {predicted} from {number} columns{left_out}\n"
            f"Read it, then: linreg-dist train {drafted.path}",
            err=True,
        )
