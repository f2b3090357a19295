"""``linreg-dist demo``."""

from __future__ import annotations

import json
import sys

import click

from linreg_dist.cli.options import fresh_option, json_option, verbosity_options


@click.command
@click.argument("folder", metavar="[FOLDER]", default="linreg-dist-demo", type=click.Path())
@fresh_option
@json_option
@verbosity_options
@click.pass_context
def demo(ctx: click.Context, folder: str, fresh: bool, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Copy sample data and specs into FOLDER (linreg-dist-demo), train on them, and say what to try next.

    What is in the folder already is left as it is. The run is in FOLDER/runs/flights.
    """
    from linreg_dist.cli.train import train
    from linreg_dist.verbs.begin.demo import copy_samples

    samples = copy_samples(folder)
    if not quiet:
        for name in samples.kept:
            click.echo(f"{samples.folder / name} is not the sample any more, and is left as it is", err=True)
    ctx.invoke(
        train,
        spec=str(samples.spec),
        overrides=(f"run.storage_path={json.dumps(str(samples.folder / 'runs'))}",),
        fresh=fresh,
        as_json=as_json,
        quiet=quiet,
        verbose=verbose,
    )
    sys.stdout.flush()
    if not quiet:
        click.echo(_next(str(samples.folder)), err=True)


def _next(folder: str) -> str:
    return f"""
Next:
  open {folder}/runs/flights/report.html in a browser
  linreg-dist show {folder}/runs/flights
  linreg-dist predict {folder}/runs/flights --data {folder}/flights/month=12 --output {folder}/scored
  linreg-dist train {folder}/flights_tune.yaml
With your own Parquet:
  linreg-dist init DATA --target COLUMN -o job.yaml
  linreg-dist train job.yaml"""
