"""Plots of many rows: shades of a grid, a histogram, points beside a line."""

from __future__ import annotations

import math
from itertools import pairwise

from linreg_dist.page.plots import Bars, Density, Points
from linreg_dist.page.svg.canvas import Canvas, Svg
from linreg_dist.page.svg.frame import HEIGHT, WIDTH, Key, Room, draw_frame, marks, room
from linreg_dist.page.svg.scale import Scale, scale_around, tick_text

_SHADES = 9
_TALL = 300.0


def draw_density(plot: Density) -> Svg:
    """Return how many rows lie where, what is in the middle, and what that is compared with."""
    keys = [Key("rows (darker is more)", "d6", is_area=True), Key(plot.line_label, "z")]
    if any(plot.middles):
        keys.insert(1, Key(plot.middle_label, "b"))
    y = Scale(plot.y_edges[0], plot.y_edges[-1], 0.0, 1.0)
    y_ticks = y.ticks(6)
    inside = room(keys, plot.y_label, [tick_text(tick) for tick in y_ticks], _TALL)
    y = Scale(y.low, y.high, inside.bottom, inside.top)
    x = Scale(plot.x_edges[0], plot.x_edges[-1], inside.left, inside.right)
    canvas = Canvas(WIDTH, _TALL)
    draw_frame(canvas, inside, x, y, (plot.x_label, plot.y_label), keys, marks(x, 7), y_ticks)
    _draw_cells(canvas, plot, x, y)
    if plot.line == "zero":
        canvas.line(inside.left, y(0), inside.right, y(0), "z")
    else:
        low, high = max(x.low, y.low), min(x.high, y.high)
        if low < high:
            canvas.line(x(low), y(low), x(high), y(high), "z")
    centres = [(a + b) / 2 for a, b in pairwise(plot.x_edges)]
    found = [(x(at), middle) for at, middle in zip(centres, plot.middles, strict=False) if middle is not None]
    for bound in (0, 2):
        canvas.polyline([(at, y.clipped(middle[bound])) for at, middle in found], "b s2")
    canvas.polyline([(at, y.clipped(middle[1])) for at, middle in found], "b")
    for (left, right), tip in zip(pairwise(plot.x_edges), plot.tips, strict=False):
        canvas.box(x(left), inside.top, x(right) - x(left), inside.bottom - inside.top, "h", tip)
    return canvas.svg()


def _draw_cells(canvas: Canvas, plot: Density, x: Scale, y: Scale) -> None:
    most = max((count for column in plot.counts for count in column), default=0.0)
    if most <= 0:
        return
    by_shade: dict[int, list[tuple[float, float, float, float]]] = {}
    for (left, right), column in zip(pairwise(plot.x_edges), plot.counts, strict=True):
        for (low, high), count in zip(pairwise(plot.y_edges), column, strict=True):
            if count > 0:
                # A root shows where few rows lie beside where most do.
                shade = max(1, math.ceil(_SHADES * (count / most) ** 0.4))
                by_shade.setdefault(shade, []).append(
                    (x(left), y(high), x(right) - x(left), y(low) - y(high))
                )
    for shade in sorted(by_shade):
        canvas.boxes(by_shade[shade], f"d{shade}")


def draw_bars(plot: Bars) -> Svg:
    """Return a histogram, and a curve to compare it with."""
    keys = [Key(plot.bars_label, "fa", is_area=True)] if plot.bars_label else []
    if plot.curve:
        keys.append(Key(plot.curve_label, "b"))
    highest = max((*plot.heights, *(height for _, height in plot.curve)), default=1.0) or 1.0
    y = Scale(0.0, 1.05 * highest, 0.0, 1.0)
    y_ticks = y.ticks(6)
    inside = room(keys, plot.y_label, [tick_text(tick) for tick in y_ticks])
    y = Scale(y.low, y.high, inside.bottom, inside.top)
    x = Scale(plot.edges[0], plot.edges[-1], inside.left, inside.right)
    canvas = Canvas(WIDTH, HEIGHT)
    draw_frame(canvas, inside, x, y, (plot.x_label, plot.y_label), keys, marks(x, 7), y_ticks)
    spans = list(pairwise(plot.edges))
    canvas.boxes(
        [
            (x(left), y(height), max(x(right) - x(left) - 0.7, 0.5), inside.bottom - y(height))
            for (left, right), height in zip(spans, plot.heights, strict=True)
        ],
        "fa",
    )
    canvas.polyline([(x(at), y.clipped(height)) for at, height in plot.curve if x.low <= at <= x.high], "b")
    for (left, right), tip in zip(spans, plot.tips, strict=False):
        canvas.box(x(left), inside.top, x(right) - x(left), inside.bottom - inside.top, "h", tip)
    return canvas.svg()


def draw_points(plot: Points) -> Svg:
    """Return points, and a straight line to compare them with."""
    keys = [Key(plot.points_label, "pa")] if plot.points_label else []
    if plot.marked and plot.marked_label:
        keys.append(Key(plot.marked_label, "pb"))
    if plot.line is not None and plot.line_label:
        keys.append(Key(plot.line_label, "z"))
    y = scale_around([point[1] for point in plot.points], 0.0, 1.0)
    y_ticks = y.ticks(6)
    inside = room(keys, plot.y_label, [tick_text(tick) for tick in y_ticks])
    y = Scale(y.low, y.high, inside.bottom, inside.top)
    x = scale_around([point[0] for point in plot.points], inside.left, inside.right)
    canvas = Canvas(WIDTH, HEIGHT)
    draw_frame(canvas, inside, x, y, (plot.x_label, plot.y_label), keys, marks(x, 7), y_ticks)
    if plot.line is not None:
        _draw_straight(canvas, plot.line, x, y, inside)
    # Those that are marked last, above the others.
    for marked in (False, True):
        for number, (a, b, tip) in enumerate(plot.points):
            if (number in plot.marked) == marked:
                canvas.dot(x(a), y(b), 3.4 if marked else 2.4, "pb" if marked else "pa", tip)
    return canvas.svg()


def _draw_straight(canvas: Canvas, line: tuple[float, float], x: Scale, y: Scale, inside: Room) -> None:
    """Draw a straight line as far as it is within the frame."""
    intercept, slope = line
    ends = [x.low, x.high]
    if slope:
        crossings = sorted((bound - intercept) / slope for bound in (y.low, y.high))
        ends = [max(x.low, crossings[0]), min(x.high, crossings[1])]
    if ends[0] < ends[1]:
        canvas.polyline([(x(at), y(intercept + slope * at)) for at in ends], "z")
