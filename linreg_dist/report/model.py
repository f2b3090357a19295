"""What a person sees of a saved model: how it measures up on other data, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from linreg_dist.wording.numbers import format_count, format_number
from linreg_dist.wording.results import METRICS, listed
from linreg_dist.wording.text import safe_document


def evaluation_table(result: Mapping[str, Any]) -> RenderableType:
    """Return the metrics of a model on some data, from what ``evaluate --json`` prints."""
    result = safe_document(result)
    dropped = result["dropped"]
    lines = [
        ("rows", format_count(result["rows"]) + (f" ({format_count(dropped)} dropped)" if dropped else ""))
    ]
    per_target = result["metrics"].get("per_target") or {"": result["metrics"]}
    for target, metrics in per_target.items():
        prefix = f"{target} " if target else ""
        lines += [(prefix + label, format_number(metrics[key])) for key, label in METRICS.items()]
    return _lines(lines)


def provenance_table(document: Mapping[str, Any]) -> RenderableType:
    """Return where a model came from, from what ``show --json`` prints."""
    document = safe_document(document)
    solver, rows = document.get("solver") or {}, document.get("rows") or {}
    data, penalty = document.get("data") or {}, document.get("penalty") or {}
    lines = [("run", str(document.get("name")))]
    if solver:
        lines.append(("solver", f"{solver['name']}, {solver.get('stopped', '')}".rstrip(", ")))
    if penalty.get("l1") or penalty.get("l2"):
        lines.append(("penalty", f"l1 {penalty['l1']:g}, l2 {penalty['l2']:g}"))
    if rows:
        lines.append(
            ("rows", f"{format_count(rows['train'])} train, {format_count(rows['validation'])} validation")
        )
    if reason := ((document.get("metrics") or {}).get("train") or {}).get("mae_reason"):
        lines.append(("no MAE", reason))
    if data:
        lines.append(("data", ", ".join(data["path"])))
    if versions := document.get("versions"):
        lines.append(("versions", ", ".join(f"{name} {number}" for name, number in versions.items())))
    if collinear := solver.get("collinear_columns"):
        lines.append(("collinear", listed(collinear)))
    if constant := solver.get("constant_columns"):
        lines.append(("constant", listed(constant)))
    return _lines(lines)


def _lines(lines: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, Text(text))
    return table
