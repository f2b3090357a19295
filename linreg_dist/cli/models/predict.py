"""``linreg-dist predict``."""

from __future__ import annotations

import click

from linreg_dist.cli.options import (
    address_option,
    allow_module_option,
    data_option,
    json_option,
    model_argument,
    overrides_option,
)
from linreg_dist.cli.output import print_json


@click.command
@model_argument
@data_option
@click.option(
    "--output", required=True, metavar="DIR", type=click.Path(), help="Folder to write Parquet into."
)
@click.option("--keep", default="", metavar="COL,…", help="Input columns to carry over.")
@click.option("--overwrite", is_flag=True, help="Write over files that are there.")
@click.option(
    "--interval",
    metavar="LEVEL",
    type=float,
    help="Add intervals of this confidence, such as 0.95: prediction_mean_low/high of the mean, "
    "prediction_low/high of one observation.",
)
@click.option(
    "--workers",
    metavar="N",
    type=click.IntRange(min=0),
    help="Ray workers that share the files; short for --set scaling.num_workers=N.",
)
@address_option
@overrides_option
@allow_module_option
@json_option
def predict(
    model: str,
    data: tuple[str, ...],
    output: str,
    keep: str,
    overwrite: bool,
    interval: float | None,
    workers: int | None,
    address: str | None,
    overrides: tuple[str, ...],
    allow_module: bool,
    as_json: bool,
) -> None:
    """Score Parquet with the model in the folder MODEL: Parquet in, Parquet out, row for row."""
    from linreg_dist.verbs.score import predict as score

    columns = [name.strip() for name in keep.split(",") if name.strip()]
    if workers is not None:
        overrides = (*overrides, f"scaling.num_workers={workers}")
    if address is not None:
        overrides = (*overrides, f"cluster.address={address}")
    result = score(
        model,
        list(data),
        output,
        columns,
        overwrite=overwrite,
        interval=interval,
        overrides=overrides,
        allow_module=allow_module,
    )
    if as_json:
        print_json(result)
        return
    rate = result.rows / max(result.seconds, 1e-9)
    click.echo(
        f"{result.rows:,} rows scored into {result.files} files in {result.output} "
        f"({result.seconds:.1f} s, {rate:,.0f} rows/s)"
    )
    if result.null_predictions:
        click.echo(f"{result.null_predictions:,} predictions are null: a feature is missing there", err=True)
