"""The report of a saved model for people: metrics on other data, and provenance."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from linreg_dist.documents import Evaluation, ModelDescription, Timing
from linreg_dist.wording.done import left_out_lines, loss_lines, penalty_lines, steps_lines, time_lines
from linreg_dist.wording.numbers import format_count, format_number
from linreg_dist.wording.results import METRICS, listed, metric_values, shown_document, solver_text


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
    solver, rows = model.solver, model.rows
    lines = [("run", str(model.name))]
    if solver:
        lines.append(("solver", f"{solver_text(solver)}, {solver.stopped or ''}".rstrip(", ")))
        if solver.fallback:
            lines.append(("instead of", solver.fallback))
    lines += loss_lines(model.loss, solver, [each.target for each in model.each_target])
    lines += penalty_lines(model.penalty, model.tune)
    lines += steps_lines(solver)
    if rows:
        lines.append(
            ("rows", f"{format_count(rows.train)} train, {format_count(rows.validation)} validation")
        )
    lines += left_out_lines(rows, model.data)
    if model.metrics and model.metrics.train and model.metrics.train.mae_reason:
        lines.append(("no MAE", model.metrics.train.mae_reason))
    if model.data and model.data.path:
        lines.append(("data", ", ".join(model.data.path)))
    tables = model.data.tables if model.data else []
    lines += [("table", f"{table.path}: {table.text}") for table in tables]
    if model.versions:
        lines.append(("versions", ", ".join(f"{name} {number}" for name, number in model.versions.items())))
    lines += time_lines(timing)
    if solver and solver.collinear_columns:
        lines.append(("collinear", listed(solver.collinear_columns)))
    if solver and solver.constant_columns:
        lines.append(("constant", listed(solver.constant_columns)))
    return _lines(lines)


def _lines(lines: list[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label, text in lines:
        table.add_row(label, Text(text))
    return table
