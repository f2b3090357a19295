"""The table that says how a run ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from linreg_dist.wording.numbers import align_decimals, format_count, format_number, format_rate
from linreg_dist.wording.results import METRICS, solver_text, spans_of
from linreg_dist.wording.text import safe_document, safe_text

_STATUS_STYLES = {"succeeded": "bold green", "failed": "bold red"}
_LABEL_WIDTH = 10


def result_table(result: Mapping[str, Any]) -> RenderableType:
    """Return how a run ended, from its ``result.json``: status, rows, metrics, time, the model.

    A part that the document does not have, or has as null, is left out; a failed run has its error.
    """
    error = result.get("error")
    result = safe_document({key: value for key, value in result.items() if key != "error"})
    status = str(result["status"])
    headline = Text.assemble(str(result["name"]), ": ", (status, _STATUS_STYLES.get(status, "bold")))
    parts: list[RenderableType] = [headline]
    if error:  # in as many lines as it has
        parts.append(Text(safe_text(str(error["message"] if isinstance(error, Mapping) else error))))
    if result.get("metrics"):
        parts += [Text(""), _metrics_table(result["metrics"], result.get("rows") or {})]
    if facts := list(_facts(result)):
        parts += [Text(""), _facts_table(facts)]
    return Group(*parts)


def _metrics_table(metrics: Mapping[str, Any], rows: Mapping[str, Any]) -> Table:
    """Return the splits side by side, a line per metric."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("", min_width=_LABEL_WIDTH)
    columns = []
    for split in ("train", "validation"):
        if not (values := metrics.get(split)):
            continue
        numbers = [format_number(values.get(key)) for key in METRICS]
        cells = align_decimals([format_count(rows.get(split)), *numbers])
        table.add_column(split.rjust(len(cells[0])), no_wrap=True)
        columns.append(cells)
    for label, *cells in zip(["rows", *METRICS.values()], *columns, strict=True):
        table.add_row(label, *cells)
    return table


def _facts(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the label and text of each line below the metrics."""
    solver = result.get("solver") or {}
    if solver.get("name"):
        yield "solver", solver_text(solver)
    if solver.get("stopped"):
        yield "stopped", solver["stopped"]
    if reason := ((result.get("metrics") or {}).get("train") or {}).get("mae_reason"):
        yield "no MAE", reason
    if dropped := (result.get("rows") or {}).get("dropped"):
        yield "dropped", _dropped_text(dropped)
    timing = result.get("timing") or {}
    spans = [f"{title} {seconds}" for title, seconds in spans_of(timing)]
    if spans:
        yield "time", ", ".join(spans)
    if timing.get("rows_per_s") is not None:
        yield "speed", format_rate(timing["rows_per_s"])
    if result.get("model"):
        yield "model", str(result["model"])
    if result.get("report"):
        yield "report", str(result["report"])


def _dropped_text(dropped: int | Mapping[str, int]) -> str:
    """Return ``9,430 rows (missing: 9,430)`` from a number or from rule -> number."""
    if not isinstance(dropped, Mapping):
        return f"{format_count(dropped)} rows"
    by_rule = ", ".join(f"{rule}: {format_count(count)}" for rule, count in dropped.items() if count)
    return f"{format_count(sum(dropped.values()))} rows" + (f" ({by_rule})" if by_rule else "")


def _facts_table(facts: Sequence[tuple[str, str]]) -> Table:
    """Return labelled lines; a long value, such as a path, folds rather than loses its end."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=_LABEL_WIDTH, style="dim")
    table.add_column(overflow="fold")
    for label, text in facts:
        table.add_row(label, Text(text))
    return table
