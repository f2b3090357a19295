"""What goes to stdout."""

from __future__ import annotations

from typing import Any

import click

from linreg_dist.wording.text import safe_json


def print_json(document: Any) -> None:
    """Print `document` as one JSON document on stdout; NaN and infinity, which JSON lacks, are refused.

    Its texts are exact: what is unsafe to show is escaped as JSON does it.
    """
    click.echo(safe_json(document, indent=2, allow_nan=False))
