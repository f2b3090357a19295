"""A page as a test reads it: its headings, tables, texts and tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

_VOID = {"meta", "use", "path"}


@dataclass
class Table:
    caption: str = ""
    cells: list[list[tuple[str, dict[str, str | None], str]]] = field(default_factory=list)

    @property
    def rows(self) -> dict[str, list[str]]:
        """The rows below the headings by their first cell."""
        return {row[0][2]: [cell[2] for cell in row[1:]] for row in self.cells[1:]}

    @property
    def headings(self) -> list[str]:
        return [cell[2] for cell in self.cells[0]]


class Document(HTMLParser):
    """Parses a page; an element that is not closed, or closed twice, is an error."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.html = html
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.tables: list[Table] = []
        self._open: list[str] = []
        self._text = ""
        self.feed(html)
        self.close()
        assert not self._open

    @classmethod
    def of(cls, run: Path) -> Document:
        return cls((run / "report.html").read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "table":
            self.tables.append(Table())
        elif tag == "tr":
            self.tables[-1].cells.append([])
        elif tag in ("th", "td"):
            self.tables[-1].cells[-1].append((tag, dict(attrs), ""))
        self._text = ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        text = self._text.strip()
        self.texts.setdefault(tag, []).append(text)
        if tag == "caption":
            self.tables[-1].caption = text
        elif tag in ("th", "td"):
            row = self.tables[-1].cells[-1]
            row[-1] = (*row[-1][:2], text)
        self._text = ""

    @property
    def headings(self) -> list[str]:
        return self.texts.get("h1", []) + self.texts.get("h2", [])

    @property
    def sentences(self) -> str:
        return " ".join(self.texts.get("p", []) + self.texts.get("li", []))

    def table(self, begins: str) -> Table:
        """Return the one table whose caption begins so."""
        (found,) = [table for table in self.tables if table.caption.startswith(begins)]
        return found
