"""What goes to stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from linreg_dist.wording.text import safe_json

if TYPE_CHECKING:
    from linreg_dist.documents import Document


def print_json(document: Document | dict[str, Any]) -> None:
    """Print `document` as one JSON document on stdout; NaN and infinity, which JSON lacks, are refused.

    Its texts are exact: what is unsafe to show is escaped as JSON does it.
    """
    plain = document if isinstance(document, dict) else document.to_json()
    click.echo(safe_json(plain, indent=2, allow_nan=False))
