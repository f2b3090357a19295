"""The content of a page without its form: tiles, and sections of paragraphs, lists, tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from linreg_dist.page.plots import Panels, Plot

_FEW_COLUMNS = 4  # of a table that has room beside another


@dataclass(frozen=True)
class Paragraph:
    """Sentences."""

    kind: ClassVar[str] = "paragraph"
    text: str


@dataclass(frozen=True)
class Items:
    """A list of sentences."""

    kind: ClassVar[str] = "items"
    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Rows of text, the first cell of which is the row's heading.

    Attributes:
        caption: what it shows.
        headings: of the columns.
        rows: a cell for every heading.
        text_columns: the columns that hold words; the others hold numbers, already aligned.

    """

    kind: ClassVar[str] = "table"
    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text_columns: frozenset[int] = frozenset()

    @property
    def is_wide(self) -> bool:
        """Whether it takes the whole width."""
        return len(self.headings) > (_FEW_COLUMNS - bool(self.text_columns))


@dataclass(frozen=True)
class Figure:
    """A plot with its caption.

    Attributes:
        name: tells it from the others of the page.
        plot: what is drawn.
        caption: what it shows, and how to read it.
        alternative: in words, what one who does not see it would miss.
        table: its numbers, for who wants to read them; None where a table of the section has them.

    """

    kind: ClassVar[str] = "figure"
    name: str
    plot: Plot
    caption: str
    alternative: str
    table: Table | None = None

    @property
    def is_wide(self) -> bool:
        """Whether it takes the whole width."""
        return isinstance(self.plot, Panels)


@dataclass(frozen=True)
class Listing:
    """Lines as they stand in a file."""

    kind: ClassVar[str] = "listing"
    label: str
    text: str


Block = Paragraph | Items | Table | Figure | Listing


@dataclass(frozen=True)
class Section:
    """A heading and the content below it."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Tile:
    """One number to see first.

    Attributes:
        label: what it is.
        value: the number, with its unit.
        note: what it is compared with, or of what.

    """

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Page:
    """The whole page."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]
    tiles: tuple[Tile, ...] = ()


def section(heading: str, blocks: Sequence[Block | None]) -> Section | None:
    """Return a section of the blocks that there are; None where there is none."""
    found = tuple(block for block in blocks if block is not None)
    return Section(heading, found) if found else None
