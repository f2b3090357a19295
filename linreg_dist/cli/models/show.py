"""``linreg-dist show``."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

import click

from linreg_dist.cli.options import json_option, model_argument
from linreg_dist.cli.output import print_json
from linreg_dist.wording.text import csv_cell, safe_name

if TYPE_CHECKING:
    from linreg_dist.documents import ModelDescription, Timing
    from linreg_dist.model.linear_model import LinearModel


@click.command
@model_argument
@click.option(
    "--covariance",
    "with_covariance",
    is_flag=True,
    help="Print the covariance matrix of the coefficients as CSV; with --json add it as cov_params.",
)
@json_option
def show(model: str, with_covariance: bool, as_json: bool) -> None:
    """Print the coefficients, the fit and the provenance of the model in the folder MODEL.

    MODEL is a run's folder too; of one without a model it says what became of it, and exits with 1.
    """
    from linreg_dist.model.describe import describe
    from linreg_dist.model.own_module import ModuleModel
    from linreg_dist.run.state import load_model, timing_of

    loaded = load_model(model)
    if isinstance(loaded, ModuleModel):
        if as_json:
            print_json(loaded.describe())
        else:
            click.echo(str(loaded.summary()))
        return
    if with_covariance and not as_json:
        print_covariance(loaded)
        return
    document = describe(loaded, with_covariance=with_covariance)
    if as_json:
        print_json(document)
    else:
        print_description(document, timing_of(model))


def print_covariance(model: LinearModel) -> None:
    """Print a line per coefficient: its name and its covariances; for several targets the target first.

    Names are written so that neither a terminal nor a spreadsheet acts on them; --json has the exact ones.
    """
    several = len(model.targets) > 1
    writer = csv.writer(sys.stdout, lineterminator="\n")
    names = [csv_cell(safe_name(name)) for name in model.cov_names]
    writer.writerow([*(["target"] if several else []), "", *names])
    for target in model.targets:
        for name, row in zip(names, model.cov_params(target).tolist(), strict=True):
            writer.writerow([*([csv_cell(safe_name(target))] if several else []), name, *row])


def print_description(description: ModelDescription, timing: Timing | None = None) -> None:
    """Print what `describe` says of a model as tables, with the seconds of its run if they are known."""
    from linreg_dist.console import coefficient_table, print_renderable, provenance_table

    for each in description.each_target:
        if description.targets is not None:
            click.echo(f"target {safe_name(each.target)}")
        print_renderable(coefficient_table(each), sys.stdout)
    print_renderable(provenance_table(description, timing), sys.stdout)
