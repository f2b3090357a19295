"""SVG, written element by element; all text is escaped, and colours are classes of the page's style sheet.

The classes: `t` and `m` are text and muted text, `g` a grid line, `a` and `b` a line in the first and the
second colour, `z` a line that others are compared with, `fa`, `fb` and `fm` areas, `d1` to `d9` shades,
`h` an area that is not seen and says something to whoever points at it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from unicodedata import east_asian_width

FONT = 11.5
"""Height of a letter, in units of the drawing; the page's style sheet has the same number."""

_CHARACTER = 0.62  # of the height: the fonts that a page may meet are not wider than DejaVu Sans


@dataclass(frozen=True)
class Svg:
    """A drawing: the size of its coordinates and what is inside of the ``svg`` element."""

    width: float
    height: float
    body: str


class Canvas:
    """A drawing in the making; y counts downwards from the top.

    Args:
        width, height: of the drawing.

    """

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self._parts: list[str] = []

    def line(self, x0: float, y0: float, x1: float, y1: float, kind: str) -> None:
        """Draw a straight line."""
        self._parts.append(f'<path class="{kind}" d="M{_n(x0)} {_n(y0)}L{_n(x1)} {_n(y1)}"/>')

    def polyline(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Draw lines through points."""
        if points:
            path = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
            self._parts.append(f'<path class="{kind}" d="M{path}"/>')

    def area(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Fill the inside of a line that is closed."""
        if points:
            path = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
            self._parts.append(f'<path class="{kind}" d="M{path}Z"/>')

    def boxes(self, boxes: Sequence[tuple[float, float, float, float]], kind: str) -> None:
        """Fill rectangles (x, y, width, height), all at once."""
        if boxes:
            path = "".join(f"M{_n(x)} {_n(y)}h{_n(w)}v{_n(h)}h{_n(-w)}z" for x, y, w, h in boxes)
            self._parts.append(f'<path class="{kind}" d="{path}"/>')

    def box(self, x: float, y: float, width: float, height: float, kind: str, tip: str = "") -> None:
        """Fill a rectangle that says something to whoever points at it."""
        self._parts.append(
            f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}"'
            f"{_inside('rect', tip)}"
        )

    def dot(self, x: float, y: float, radius: float, kind: str, tip: str = "") -> None:
        """Draw a point."""
        self._parts.append(
            f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}"{_inside("circle", tip)}'
        )

    def text(
        self, x: float, y: float, text: str, kind: str = "t", *, anchor: str = "start", tip: str = ""
    ) -> None:
        """Write a line of text whose letters stand on y; ``anchor`` is start, middle or end."""
        at = "" if anchor == "start" else f' text-anchor="{anchor}"'
        title = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}"{at}>{title}{escape(text)}</text>')

    def svg(self) -> Svg:
        """Return the drawing."""
        return Svg(self.width, self.height, "\n".join(self._parts))


def _inside(tag: str, tip: str) -> str:
    return f"><title>{escape(tip)}</title></{tag}>" if tip else "/>"


def _n(value: float) -> str:
    """Return a coordinate: a tenth of a unit is less than anybody sees."""
    text = f"{value:.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text


def text_width(text: str, size: float = FONT) -> float:
    """Return about how wide a text is, in units of the drawing; rather too much than too little."""
    widths = (
        1.65 if east_asian_width(c) in "WF" or c in "MWmw@%" else 1.2 if c.isupper() else 1.0 for c in text
    )
    return _CHARACTER * size * sum(widths)


def cut(text: str, width: float, size: float = FONT) -> str:
    """Return a text that is at most so wide, with an ellipsis where it has lost its end."""
    if text_width(text, size) <= width:
        return text
    for most in range(len(text) - 1, 0, -1):
        if text_width(shortened := text[:most].rstrip() + "…", size) <= width:
            return shortened
    return text[:1]
