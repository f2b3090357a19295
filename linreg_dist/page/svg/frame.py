"""A frame: two axes with their marks and names, and a legend above them, where it covers nothing."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from linreg_dist.page.svg.canvas import FONT, Canvas, cut, text_width
from linreg_dist.page.svg.scale import Scale, tick_text

WIDTH, HEIGHT = 380.0, 260.0
_LINE = 1.35 * FONT
_SWATCH = 18.0


@dataclass(frozen=True)
class Key:
    """An entry of a legend: its name and how it is drawn: a line of this class, or an area."""

    text: str
    kind: str
    is_area: bool = False


@dataclass(frozen=True)
class Room:
    """The inside of a frame, in units of the drawing."""

    left: float
    top: float
    right: float
    bottom: float


def legend_height(keys: Sequence[Key], y_label: str) -> float:
    """Return how much room the names above a frame take."""
    return _LINE * (len(_legend_rows(keys)) + bool(y_label)) + 6


def room(keys: Sequence[Key], y_label: str, y_texts: Sequence[str], height: float = HEIGHT) -> Room:
    """Return the inside of a frame with these marks and names."""
    left = max([text_width(text) for text in y_texts] + [12.0]) + 8
    return Room(left, legend_height(keys, y_label), WIDTH - 10, height - 2.5 * _LINE - 2)


def draw_frame(
    canvas: Canvas,
    inside: Room,
    x: Scale,
    y: Scale,
    labels: tuple[str, str],
    keys: Sequence[Key] = (),
    x_ticks: Sequence[tuple[float, str]] | None = None,
    y_ticks: Sequence[float] = (),
) -> None:
    """Draw the axes, their marks and names, and the legend.

    Args:
        canvas, inside: where.
        x, y: the scales.
        labels: of x and of y.
        keys: of the legend.
        x_ticks: marks with their texts.
        y_ticks: marks.

    """
    x_label, y_label = labels
    top = _LINE - 3
    if y_label:
        canvas.text(0, top, cut(y_label, WIDTH), "m")
        top += _LINE
    for row in _legend_rows(keys):
        at = 0.0
        for key, width in row:
            middle = top - FONT * 0.35
            if key.is_area:
                canvas.box(at, middle - 4, _SWATCH - 4, 8, key.kind)
            elif key.kind.startswith("p"):
                canvas.dot(at + _SWATCH / 2 - 2, middle, 3, key.kind)
            else:
                canvas.line(at, middle, at + _SWATCH - 3, middle, key.kind)
            canvas.text(at + _SWATCH, top, cut(key.text, WIDTH - at - _SWATCH))
            at += width
        top += _LINE
    for tick in y_ticks:
        place = y(tick)
        canvas.line(inside.left, place, inside.right, place, "g")
        canvas.text(inside.left - 6, place + FONT * 0.35, tick_text(tick), "m", anchor="end")
    canvas.line(inside.left, inside.bottom, inside.right, inside.bottom, "x")
    for tick, text in _fitting(x, x_ticks or ()):
        place = x(tick)
        canvas.line(place, inside.bottom, place, inside.bottom + 4, "x")
        half = text_width(text) / 2
        canvas.text(
            min(max(place, half), WIDTH - half), inside.bottom + _LINE + 1, text, "m", anchor="middle"
        )
    middle = (inside.left + inside.right) / 2
    shown = cut(x_label, WIDTH - 4)
    half = text_width(shown) / 2
    canvas.text(
        min(max(middle, half), WIDTH - half), inside.bottom + 2.2 * _LINE, shown, "m", anchor="middle"
    )


def marks(scale: Scale, most: int, *, whole: bool = False) -> list[tuple[float, str]]:
    """Return marks with their texts."""
    return [(tick, tick_text(tick)) for tick in scale.ticks(most, whole=whole)]


def _fitting(x: Scale, ticks: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Return every n-th mark, so that their texts do not touch."""
    for every in range(1, len(ticks) + 1):
        kept = ticks[::every]
        spans = [
            (min(max(x(tick), text_width(text) / 2), WIDTH - text_width(text) / 2), text_width(text) / 2)
            for tick, text in kept
        ]
        if all(a + wide_a + 6 <= b - wide_b for (a, wide_a), (b, wide_b) in itertools.pairwise(spans)):
            return list(kept)
    return list(ticks[:1])


def _legend_rows(keys: Sequence[Key]) -> list[list[tuple[Key, float]]]:
    rows: list[list[tuple[Key, float]]] = []
    at = WIDTH
    for key in keys:
        width = _SWATCH + text_width(key.text) + 10
        if at + width > WIDTH:
            rows.append([])
            at = 0.0
        rows[-1].append((key, width))
        at += width
    return rows
