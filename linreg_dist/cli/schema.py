"""``linreg-dist schema``."""

from __future__ import annotations

import click

from linreg_dist.cli.options import json_option, verbosity_options
from linreg_dist.cli.output import print_json


@click.command
@json_option
@verbosity_options
def schema(as_json: bool, quiet: bool, verbose: bool) -> None:
    """Print the JSON Schema of the job spec.

    Editors check a spec and explain its fields when its first line is
    "# yaml-language-server: $schema=PATH" with the path of this schema.
    """
    from linreg_dist.spec import json_schema

    print_json(json_schema())
