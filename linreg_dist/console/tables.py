"""The table that says how a run ended."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from linreg_dist.documents import ResultDocument, RowsDocument, SplitMetrics, Timing
from linreg_dist.wording.numbers import align_decimals, format_count, format_number, format_rate
from linreg_dist.wording.results import METRICS, metric_values, shown_document, solver_text, spans_of
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
        parts += [Text(""), _metrics_table(result.metrics, result.rows)]
    if facts := list(_facts(result)):
        parts += [Text(""), _facts_table(facts)]
    return Group(*parts)


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
    if result.solver:
        yield "solver", solver_text(result.solver)
        if result.solver.stopped:
            yield "stopped", result.solver.stopped
    if result.metrics and result.metrics.train and (reason := result.metrics.train.mae_reason):
        yield "no MAE", reason
    for table in result.data.tables if result.data else ():
        yield "table", f"{table.path}: {table.text}"
    if result.rows and result.rows.dropped:
        yield "dropped", _dropped_text(result.rows)
    timing = result.timing or Timing()
    spans = [f"{title} {seconds}" for title, seconds in spans_of(timing)]
    if spans:
        yield "time", ", ".join(spans)
    if timing.rows_per_s is not None:
        yield "speed", format_rate(timing.rows_per_s)
    if result.model:
        yield "model", result.model
    if result.report:
        yield "report", result.report
    for name, place in result.exports.items():
        yield name, place
    for name, reason in result.export_reasons.items():
        yield f"no {name}", reason


def _dropped_text(rows: RowsDocument) -> str:
    """Return ``9,430 rows (missing: 9,430)``."""
    by_rule = ", ".join(f"{rule}: {format_count(count)}" for rule, count in rows.dropped.items() if count)
    return f"{format_count(rows.num_dropped)} rows" + (f" ({by_rule})" if by_rule else "")


def _facts_table(facts: Sequence[tuple[str, str]]) -> Table:
    """Return labelled lines; a long value, such as a path, folds rather than loses its end."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=_LABEL_WIDTH, style="dim")
    table.add_column(overflow="fold")
    for label, text in facts:
        table.add_row(label, Text(text))
    return table
