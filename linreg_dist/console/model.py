"""The report of a saved model for people: metrics on other data, and provenance."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from linreg_dist.documents import Evaluation, ModelDescription, Timing
from linreg_dist.wording.done import aliased_lines, fit_lines, time_lines
from linreg_dist.wording.numbers import format_count, format_number
from linreg_dist.wording.results import METRICS, metric_values, shown_document


def evaluation_table(result: Evaluation) -> RenderableType:
    """Return the metrics of a model on some data."""
    result = shown_document(result)
    dropped = f" ({format_count(result.dropped)} dropped)" if result.dropped else ""
    lines = [("rows", format_count(result.rows) + dropped)]
    per_target = result.metrics.per_target or {"": result.metrics}
    for target, metrics in per_target.items():
        prefix = f"{target} " if target else ""
        values = zip(METRICS.values(), metric_values(metrics), strict=True)
        lines += [(prefix + label, format_number(value)) for label, value in values]
    return _lines(lines)


def provenance_table(model: ModelDescription, timing: Timing | None = None) -> RenderableType:
    """Return how a model was made and where it came from, with the seconds of its run if they are known."""
    model = shown_document(model)
    lines = [("run", str(model.name)), *fit_lines(model)]
    if model.metrics and model.metrics.train and model.metrics.train.mae_reason:
        lines.append(("no MAE", model.metrics.train.mae_reason))
    if model.data and model.data.path:
        lines.append(("data", ", ".join(model.data.path)))
    tables = model.data.tables if model.data else []
    lines += [("table", f"{table.path}: {table.text}") for table in tables]
    if model.versions:
        lines.append(("versions", ", ".join(f"{name} {number}" for name, number in model.versions.items())))
    lines += time_lines(timing)
    lines += aliased_lines(model.solver)
    return _lines(lines)


def _lines(lines: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, Text(text))
    return table
