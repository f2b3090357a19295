"""``linreg-dist export``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from linreg_dist.cli.options import json_option, model_argument
from linreg_dist.cli.output import print_json
from linreg_dist.export import FORMATS
from linreg_dist.wording.text import safe_text

if TYPE_CHECKING:
    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # which takes no type before click 8.2


class _FormatName(_Choice):
    """The name of a format that there is when a command is read, or added after this module was loaded."""

    case_sensitive = True

    def __init__(self) -> None:
        pass  # of `Choice` it would fix the names

    @property
    def choices(self) -> tuple[str, ...]:  # type: ignore[override]  # nobody sets them
        return tuple(FORMATS)


@click.command
@model_argument
@click.option("--to", required=True, type=_FormatName(), help="The form to write.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="PATH",
    type=click.Path(),
    help="The file to write, for mlflow the folder; a path or a URI. It must not exist.",
)
@click.option(
    "--dialect", metavar="NAME", help="For sql: a dialect of sqlglot, such as postgres; default: duckdb."
)
@json_option
def export(model: str, to: str, output: str, dialect: str | None, as_json: bool) -> None:
    """Write the model in the folder MODEL in a form that other programs run."""
    from linreg_dist.verbs.export import export as write

    result = write(model, to, output, dialect=dialect)
    if as_json:
        print_json(result)
    else:
        click.echo(safe_text(f"{result.output}: the model as {result.format}"))
