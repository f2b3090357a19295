"""`Summary`: tables that print as text and show as HTML in a notebook."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

from linreg_dist.wording.text import safe_text

_STYLE = "text-align:right;padding:1px 8px"


@dataclass(frozen=True)
class SummaryTable:
    """A table: titles of the columns (none for labelled lines) and rows of text."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""

    def text(self) -> str:
        """Return the table with its columns aligned: numbers to the right, the first column to the left."""
        rows = [
            tuple(map(safe_text, row)) for row in ([self.titles] if self.titles else []) + list(self.rows)
        ]
        if not rows:
            return ""
        widths = [max(len(row[k]) for row in rows if k < len(row)) for k in range(max(map(len, rows)))]
        lines = [_text_row(row, widths, labelled=not self.titles) for row in rows]
        if self.titles:
            lines.insert(1, "─" * max(map(len, lines)))
        return "\n".join([*([safe_text(self.caption)] if self.caption else []), *lines])

    def html(self) -> str:
        """Return the table as HTML, every text escaped."""
        head = "".join(f'<th scope="col" style="{_STYLE}">{_escaped(title)}</th>' for title in self.titles)
        body = "".join(f"<tr>{_html_row(row, labelled=not self.titles)}</tr>" for row in self.rows)
        caption = f"<caption>{_escaped(self.caption)}</caption>" if self.caption else ""
        top = f"<thead><tr>{head}</tr></thead>" if head else ""
        return f"<table>{caption}{top}<tbody>{body}</tbody></table>"


@dataclass(frozen=True)
class Summary:
    """A title and tables below it; ``print`` it, or let a notebook show it."""

    title: str
    tables: tuple[SummaryTable, ...]

    def __str__(self) -> str:
        parts = [safe_text(self.title)] if self.title else []
        return "\n\n".join([*parts, *(table.text() for table in self.tables)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        title = f"<strong>{_escaped(self.title)}</strong>" if self.title else ""
        return f"<div>{title}{''.join(table.html() for table in self.tables)}</div>"


def _text_row(row: Sequence[str], widths: Sequence[int], *, labelled: bool) -> str:
    cells = [
        cell.ljust(width) if k == 0 or labelled else cell.rjust(width)
        for k, (cell, width) in enumerate(zip(row, widths, strict=False))
    ]
    return "  ".join(cells).rstrip()


def _html_row(row: Sequence[str], *, labelled: bool) -> str:
    left = "text-align:left;padding:1px 8px"
    first = f'<th scope="row" style="{left}">{_escaped(row[0])}</th>'
    style = left if labelled else _STYLE
    return first + "".join(f'<td style="{style}">{_escaped(cell)}</td>' for cell in row[1:])


def _escaped(text: str) -> str:
    return html.escape(safe_text(text), quote=True)
