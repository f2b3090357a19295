"""The report of `inspect` for people."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from linreg_dist.documents import Inspection
from linreg_dist.wording.numbers import format_count
from linreg_dist.wording.results import shown_document

_MEBIBYTE = 2**20


def inspection_table(found: Inspection) -> RenderableType:
    """Return size, row groups, columns and advice."""
    found = shown_document(found)
    groups = found.row_groups
    head = (
        f"{format_count(found.rows)} rows in {format_count(found.files)} files "
        f"({found.num_bytes / _MEBIBYTE:,.1f} MiB), {format_count(groups.count)} row groups of about "
        f"{format_count(groups.rows_median)} rows ({groups.bytes_median / _MEBIBYTE:,.1f} MiB decoded)"
    )
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for name in ("column", "type", "use", "encodings"):
        table.add_column(name, overflow="fold")
    table.add_column("nulls", justify="right")
    for column in found.columns:
        nulls = "?" if column.nulls is None else format_count(column.nulls)
        table.add_row(column.name, column.type, column.use, ", ".join(column.encodings), nulls)
    advice = [Text(f"- {sentence}") for sentence in found.advice] or [Text("- nothing to improve")]
    left_out = [Text(f"no feature: {name}: {reason}") for name, reason in found.skipped_columns.items()]
    left_out += [Text(f"not read: {item.path}: {item.reason}") for item in found.skipped_files]
    tables = [Text(f"{table.path}: {table.text}") for table in found.tables]
    notes = [*left_out, Text("")] if left_out else []
    return Group(*tables, Text(head), Text(""), table, Text(""), *notes, *advice)
