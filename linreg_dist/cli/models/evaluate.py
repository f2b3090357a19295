"""``linreg-dist evaluate``."""

from __future__ import annotations

import sys

import click

from linreg_dist.cli.options import allow_module_option, data_option, json_option, model_argument
from linreg_dist.cli.output import print_json


@click.command
@model_argument
@data_option
@allow_module_option
@json_option
def evaluate(model: str, data: tuple[str, ...], allow_module: bool, as_json: bool) -> None:
    """Measure the model in the folder MODEL on Parquet that has its features and its target."""
    from linreg_dist.console import evaluation_table, print_renderable
    from linreg_dist.verbs.score import evaluate as measure

    result = measure(model, list(data), allow_module=allow_module)
    if as_json:
        print_json(result)
    else:
        print_renderable(evaluation_table(result), sys.stdout)
