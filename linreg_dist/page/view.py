"""The content of a page without its form: sections of paragraphs, lists, tables and plots."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar


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


@dataclass(frozen=True)
class Effect:
    """A line of a forest plot; without an interval only the point is drawn."""

    label: str
    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Forest:
    """Effects below each other, on one scale.

    Attributes:
        effects: from the top.
        x_label: of the scale.
        reach: how far the scale goes to either side; what is beyond is marked at its end. None shows all.

    """

    effects: tuple[Effect, ...]
    x_label: str
    reach: float | None = None


@dataclass(frozen=True)
class Curve:
    """A line through points; ``error`` is half the height of a bar at each point."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    error: tuple[float, ...] = ()


@dataclass(frozen=True)
class Curves:
    """Lines over one axis.

    Attributes:
        curves: the first is the one that counts most.
        x_label, y_label: of the axes.
        x_ticks: (place, text) of marks; empty lets the axis choose whole numbers.
        log_y: whether y is on a logarithmic scale.
        top: what is above it is cut off; None shows all.
        band: (bottom, top) of a band over the whole width, and its name.
        mark: (x, name) of an upright line.

    """

    curves: tuple[Curve, ...]
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...] = ()
    log_y: bool = False
    top: float | None = None
    band: tuple[float, float, str] | None = None
    mark: tuple[float, str] | None = None


@dataclass(frozen=True)
class Figure:
    """A plot with its caption, and in words what one who does not see it would miss."""

    kind: ClassVar[str] = "figure"
    name: str
    plot: Forest | Curves
    caption: str
    alternative: str


@dataclass(frozen=True)
class Listing:
    """Lines as they stand in a file."""

    kind: ClassVar[str] = "listing"
    label: str
    text: str


Block = Paragraph | Items | Table | Figure | Listing


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    heading: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """The whole page."""

    title: str
    lead: tuple[str, ...]
    sections: tuple[Section, ...]


def section(heading: str, blocks: Sequence[Block | None]) -> Section | None:
    """Return a section of the blocks that there are; None where there is none."""
    found = tuple(block for block in blocks if block is not None)
    return Section(heading, found) if found else None
