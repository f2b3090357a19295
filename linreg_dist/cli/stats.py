"""``linreg-dist stats``: work on saved sufficient statistics; no data is read."""

from __future__ import annotations

import click

from linreg_dist.cli.options import json_option, overrides_option
from linreg_dist.cli.output import print_json

_output_option = click.option(
    "-o", "--output", required=True, metavar="FILE", type=click.Path(), help="Statistics file to write."
)


@click.group
def stats() -> None:
    """Merge, subtract and solve saved statistics; no data is read again.

    A, B and C are statistics files, or folders of runs of the exact solver.
    """


@stats.command
@click.argument("sources", metavar="A B...", nargs=-1, required=True, type=click.Path())
@_output_option
@json_option
def merge(sources: tuple[str, ...], output: str, as_json: bool) -> None:
    """Write the statistics of several disjoint sets of data; overlapping ones are refused."""
    from linreg_dist.verbs.stats import merge_statistics

    _say(output, merge_statistics(sources, output).moments.n, as_json)


@stats.command
@click.argument("left", metavar="A", type=click.Path())
@click.argument("right", metavar="B", type=click.Path())
@_output_option
@json_option
def subtract(left: str, right: str, output: str, as_json: bool) -> None:
    """Write the statistics of the data of A without that of B, which must be part of A."""
    from linreg_dist.verbs.stats import subtract_statistics

    _say(output, subtract_statistics(left, right, output).moments.n, as_json)


@stats.command
@click.argument("source", metavar="C", type=click.Path())
@overrides_option
@click.option("--features", metavar="COL,…", help="Columns to keep; default: all.")
@click.option(
    "-o", "--output", metavar="DIR", type=click.Path(), help="Folder to save the model in; default: none."
)
@json_option
def solve(
    source: str, overrides: tuple[str, ...], features: str | None, output: str | None, as_json: bool
) -> None:
    """Fit a model from statistics alone and print it as `show` does.

    --set takes model.* and tune.*: --set model.l2=0.1.
    """
    from linreg_dist.cli.models.show import print_description
    from linreg_dist.model.describe import describe
    from linreg_dist.run.outputs import refuse_in_run
    from linreg_dist.storage import as_location
    from linreg_dist.verbs.stats import solve_statistics

    if output is not None:
        refuse_in_run(as_location(output), "-o")
    columns = None if features is None else [name.strip() for name in features.split(",") if name.strip()]
    model = solve_statistics(source, overrides, columns)
    if output is not None:
        model.save(output)
    document = describe(model)
    if as_json:
        print_json(document)
    else:
        print_description(document)


def _say(output: str, num_rows: int, as_json: bool) -> None:
    if as_json:
        from linreg_dist.documents import StatisticsWritten

        print_json(StatisticsWritten(statistics=output, rows=num_rows))
    else:
        click.echo(f"statistics of {num_rows:,} training rows in {output}")
