"""``linreg-dist inspect``."""

from __future__ import annotations

import sys

import click

from linreg_dist.cli.options import json_option
from linreg_dist.cli.output import print_json


@click.command
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--rewrite",
    metavar="OUT",
    type=click.Path(),
    help="Write the same rows into the folder OUT in the layout that trains fastest.",
)
@json_option
def inspect(data: tuple[str, ...], rewrite: str | None, as_json: bool) -> None:
    """Say what the Parquet in DATA is like, and what would make it train faster."""
    from linreg_dist.console import inspection_table, print_renderable
    from linreg_dist.verbs.inspect import inspect as look

    found = look(list(data))
    if rewrite is not None:
        from linreg_dist.verbs.rewrite import rewrite as write

        found = found.model_copy(update={"rewritten": write(list(data), rewrite)})
    if as_json:
        print_json(found)
    else:
        print_renderable(inspection_table(found), sys.stdout)
        if (written := found.rewritten) is not None:
            click.echo(
                f"\n{written.rows:,} rows written again into {written.files} files and {written.row_groups} "
                f"row groups in {written.output} ({written.seconds:.1f} s)"
            )
