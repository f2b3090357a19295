"""``linreg-dist show``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from linreg_dist.cli.options import json_option, model_argument
from linreg_dist.cli.output import print_json


@click.command
@model_argument
@json_option
def show(model: str, as_json: bool) -> None:
    """Print the coefficients, the fit and the provenance of the model in the folder MODEL."""
    from linreg_dist.model import LinearModel
    from linreg_dist.run.describe import describe

    document = describe(LinearModel.load(model))
    if as_json:
        print_json(document)
    else:
        print_description(document)


def print_description(document: Mapping[str, Any]) -> None:
    """Print what `describe` says of a model as tables."""
    from linreg_dist.report import coefficient_table, print_renderable, provenance_table

    for each in document.get("targets", [document]):
        intercept = {"coef": each["intercept"], **each["intercept_inference"]}
        if "targets" in document:
            click.echo(f"target {each['target']}")
        print_renderable(coefficient_table({**each, "intercept": intercept}), sys.stdout)
    print_renderable(provenance_table(document), sys.stdout)
