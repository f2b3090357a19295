"""Lines over one axis."""

from __future__ import annotations

from itertools import pairwise

from linreg_dist.page.plots import Curve, Curves
from linreg_dist.page.svg.canvas import Canvas, Svg
from linreg_dist.page.svg.frame import HEIGHT, WIDTH, Key, draw_frame, marks, room
from linreg_dist.page.svg.scale import Scale, scale_around, tick_text
from linreg_dist.wording.numbers import format_number

_MOST_CURVES = 6
_FEW_POINTS = 40
_DASHES = ("", "", " s2", " s3", " s4", " s5")


def draw_curves(plot: Curves) -> Svg:
    """Return lines over one axis, with what each says at every x."""
    curves = plot.curves[:_MOST_CURVES]
    kinds = [_kind(plot, number) for number in range(len(curves))]
    keys = [Key(curve.label, kind) for curve, kind in zip(curves, kinds, strict=True) if curve.label]
    if plot.band is not None:
        keys.append(Key(plot.band[2], "fl", is_area=True))
    if plot.mark is not None:
        keys.append(Key(plot.mark[1], "b s2"))
    y = _y_scale(plot)
    y_ticks = y.ticks(6)
    inside = room(keys, plot.y_label, [tick_text(tick) for tick in y_ticks])
    y = Scale(y.low, y.high, inside.bottom, inside.top, log=y.log)
    places = [value for curve in curves for value in curve.x] + [place for place, _ in plot.x_ticks]
    places += [] if plot.mark is None else [plot.mark[0]]
    x = scale_around(places, inside.left + 4, inside.right - 4)
    canvas = Canvas(WIDTH, HEIGHT)
    if plot.band is not None:
        low, high = y.clipped(plot.band[0]), y.clipped(plot.band[1])
        canvas.box(inside.left, high, inside.right - inside.left, low - high, "fl")
    x_ticks = list(plot.x_ticks) or marks(x, 8, whole=plot.whole_x)
    draw_frame(canvas, inside, x, y, (plot.x_label, plot.y_label), keys, x_ticks, y_ticks)
    if plot.mark is not None:
        canvas.line(x(plot.mark[0]), inside.top, x(plot.mark[0]), inside.bottom, "b s2")
    for number in reversed(range(len(curves))):
        _draw_line(canvas, curves[number], kinds[number], x, y, dots=number == 0)
    _say(canvas, plot, curves, x, (inside.top, inside.bottom))
    return canvas.svg()


def _kind(plot: Curves, number: int) -> str:
    second = "m" if any(curve.error for curve in plot.curves) else "b"
    return ("a" if number == 0 else f"{second}l" if second == "m" else "b") + _DASHES[number]


def _y_scale(plot: Curves) -> Scale:
    values = [
        bound
        for curve in plot.curves[:_MOST_CURVES]
        for value, error in zip(curve.y, curve.error or (0.0,) * len(curve.y), strict=True)
        for bound in (value - error, value + error)
    ]
    if plot.top is not None:
        low = min(values)
        return Scale(low - 0.05 * (plot.top - low), plot.top, 0.0, 1.0)
    return scale_around(values, 0.0, 1.0, log=plot.log_y)


def _draw_line(canvas: Canvas, curve: Curve, kind: str, x: Scale, y: Scale, *, dots: bool) -> None:
    points = [(x(a), y(b)) for a, b in zip(curve.x, curve.y, strict=True)]
    # What is above the frame is cut off where the line leaves it.
    run: list[tuple[float, float]] = []
    for (a, b), (c, d) in pairwise(points):
        if b >= y.stop - 0.5:
            run.append((a, b))
        if b >= y.stop - 0.5 and d < y.stop:
            run.append((a + (c - a) * (b - y.stop) / (b - d), y.stop))
            canvas.polyline(run, kind)
            run = []
        elif b < y.stop - 0.5 <= d:
            run = [(a + (c - a) * (y.stop - b) / (d - b), y.stop)]
    if points and points[-1][1] >= y.stop - 0.5:
        run.append(points[-1])
    canvas.polyline(run, kind)
    for place, (a, b) in enumerate(points):
        if curve.error and b >= y.stop - 0.5:
            value, error = curve.y[place], curve.error[place]
            canvas.line(a, y.clipped(value - error), a, y.clipped(value + error), kind)
        if dots and len(points) <= _FEW_POINTS and b >= y.stop - 0.5:
            canvas.dot(a, b, 2.4, "pa")


def _say(
    canvas: Canvas, plot: Curves, curves: tuple[Curve, ...], x: Scale, heights: tuple[float, float]
) -> None:
    """Cover the frame with strips that say what the curves are at each x."""
    names = dict(plot.x_ticks)
    places = sorted({value for curve in curves for value in curve.x})
    edges = [x.start, *((x(a) + x(b)) / 2 for a, b in pairwise(places)), x.stop]
    for place, (left, right) in zip(places, pairwise(edges), strict=True):
        told = [
            f"{curve.label}: {format_number(value, 5)}"
            for curve in curves
            for at, value in zip(curve.x, curve.y, strict=True)
            if at == place
        ]
        where = names.get(place) or (f"{place:g}" if plot.whole_x else format_number(place, 3))
        tip = "\n".join([f"{plot.x_label} {where}", *told])
        canvas.box(left, heights[0], right - left, heights[1] - heights[0], "h", tip)
