"""What goes to stdout."""

from __future__ import annotations

import json
from typing import Any

import click


def print_json(document: Any) -> None:
    """Print `document` as one JSON document on stdout; NaN and infinity, which JSON lacks, are refused."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
