"""``linreg-dist inspect``."""

from __future__ import annotations

import sys

import click

from linreg_dist.cli.options import json_option
from linreg_dist.cli.output import print_json


@click.command
@click.argument("data", metavar="DATA...", nargs=-1, required=True, type=click.Path())
@json_option
def inspect(data: tuple[str, ...], as_json: bool) -> None:
    """Say what the Parquet in DATA is like, and what would make it train faster."""
    from linreg_dist.console import inspection_table, print_renderable
    from linreg_dist.verbs.inspect import inspect as look

    found = look(list(data))
    if as_json:
        print_json(found)
    else:
        print_renderable(inspection_table(found), sys.stdout)
