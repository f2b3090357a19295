"""The table that says how a run ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from linreg_dist.documents import ResultDocument, RowsDocument, SplitMetrics
from linreg_dist.wording.done import (
    device_lines,
    left_out_lines,
    loss_lines,
    penalty_lines,
    steps_lines,
    time_lines,
)
from linreg_dist.wording.numbers import align_decimals, format_count, format_number, format_rate
from linreg_dist.wording.results import METRICS, metric_values, shown_document, solver_text
from linreg_dist.wording.text import safe_text

_STATUS_STYLES = {"succeeded": "bold green", "failed": "bold red"}
_LABEL_WIDTH = 10


def result_table(result: ResultDocument) -> RenderableType:
    """Return how a run ended, from its ``result.json``: status, rows, metrics, time, the model.

    A part that the document does not have, or has as null, is left out; a failed run has its error.
    """
    error = result.error
    result = shown_document(result.model_copy(update={"error": None}))
    status = result.status
    headline = Text.assemble(str(result.name), ": ", (status, _STATUS_STYLES.get(status, "bold")))
    parts: list[RenderableType] = [headline]
    if error:  # in as many lines as it has
        parts.append(Text(safe_text(error.message)))
    if result.metrics:
        for title, metrics in _by_target(result.metrics):
            parts += [Text(""), *([Text(title, "bold")] if title else [])]
            parts.append(_metrics_table(metrics, result.rows))
    if facts := list(_facts(result)):
        parts += [Text(""), _facts_table(facts)]
    return Group(*parts)


def _by_target(metrics: SplitMetrics) -> Iterator[tuple[str, SplitMetrics]]:
    """Yield the metrics of each target with its name: their mean would mix units, and says little."""
    train, validation = metrics.train, metrics.validation
    names = list((train.per_target if train else None) or ())
    if not names:
        yield "", metrics
    for name in names:
        splits = {"train": train, "validation": validation}
        each = {
            split: found.per_target[name]
            for split, found in splits.items()
            if found is not None and found.per_target and name in found.per_target
        }
        yield f"target {name}", SplitMetrics(**each)


def _metrics_table(metrics: SplitMetrics, rows: RowsDocument | None) -> Table:
    """Return the splits side by side, a line per metric."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("", min_width=_LABEL_WIDTH)
    columns = []
    splits = (
        ("train", metrics.train, rows.train if rows else None),
        ("validation", metrics.validation, rows.validation if rows else None),
    )
    for split, found, number in splits:
        if found is None:
            continue
        cells = align_decimals([format_count(number), *map(format_number, metric_values(found))])
        table.add_column(split.rjust(len(cells[0])), no_wrap=True)
        columns.append(cells)
    for label, *cells in zip(["rows", *METRICS.values()], *columns, strict=True):
        table.add_row(label, *cells)
    return table


def _facts(result: ResultDocument) -> Iterator[tuple[str, str]]:
    """Yield the label and text of each line below the metrics."""
    train = result.metrics.train if result.metrics else None
    if result.solver:
        yield "solver", solver_text(result.solver)
        if result.solver.fallback:
            yield "instead of", result.solver.fallback
        if result.solver.stopped:
            yield "stopped", result.solver.stopped
    yield from device_lines(result.solver)
    yield from loss_lines(result.loss, result.solver, list((train.per_target if train else None) or ()))
    yield from penalty_lines(result.penalty, result.tune)
    yield from steps_lines(result.solver)
    if train and train.mae_reason:
        yield "no MAE", train.mae_reason
    for table in result.data.tables if result.data else ():
        yield "table", f"{table.path}: {table.text}"
    yield from left_out_lines(result.rows, result.data, result.skipped_columns)
    yield from time_lines(result.timing)
    if result.timing and result.timing.rows_per_s is not None:
        yield "speed", format_rate(result.timing.rows_per_s)
    if result.model:
        yield "model", result.model
    if result.report:
        yield "report", result.report
    elif result.report_reason:
        yield "no report", result.report_reason
    for name, place in result.exports.items():
        yield name, place
    for name, reason in result.export_reasons.items():
        yield f"no {name}", reason


def _facts_table(facts: Sequence[tuple[str, str]]) -> Table:
    """Return labelled lines; a long value, such as a path, folds rather than loses its end."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=_LABEL_WIDTH, style="dim")
    table.add_column(overflow="fold")
    for label, text in facts:
        table.add_row(label, Text(text))
    return table
