"""``linreg-dist schema``."""

from __future__ import annotations

import click

from linreg_dist.cli.options import json_option, verbosity_options
from linreg_dist.cli.output import print_json


@click.command
@click.option("--result", "of_result", is_flag=True, help="Print the JSON Schema of result.json instead.")
@json_option
@verbosity_options
def schema(of_result: bool, as_json: bool, quiet: bool, verbose: bool) -> None:
    """Print the JSON Schema of the job spec.

    Editors check a spec and explain its fields when its first line is
    "# yaml-language-server: $schema=PATH" with the path of this schema.
    """
    if of_result:
        from linreg_dist.documents import result_schema

        print_json(result_schema())
        return
    from linreg_dist.jobspec import json_schema

    print_json(json_schema())
