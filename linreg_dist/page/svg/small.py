"""Small plots, of which many stand side by side."""

from __future__ import annotations

from itertools import pairwise

from linreg_dist.page.plots import Panel, Panels
from linreg_dist.page.svg.canvas import FONT, Canvas, Svg, cut, text_width
from linreg_dist.page.svg.scale import Scale, tick_text

_WIDTH, _HEIGHT = 240.0, 150.0
_TOP, _BOTTOM = 22.0, 124.0
_BAR = 26.0
_BOLD = 1.35  # how much wider bold letters are, at most


def draw_panel(panel: Panel, plot: Panels) -> Svg:
    """Return the mean in each bin of a feature with its interval, above how many rows the bin has."""
    canvas = Canvas(_WIDTH, _HEIGHT)
    y = Scale(plot.low, plot.high, _BOTTOM - 8, _TOP + 4)
    y_ticks = y.ticks(4)
    left = 8 + max((text_width(tick_text(tick)) for tick in y_ticks), default=0.0)
    right = _WIDTH - 8
    half = (panel.centres[-1] - panel.centres[0]) / max(2 * (len(panel.centres) - 1), 1) or 0.5
    x = Scale(panel.centres[0] - half, panel.centres[-1] + half, left, right)
    canvas.text(0, 12, cut(panel.title, _WIDTH / _BOLD), "t w", tip=panel.title)
    for tick in y_ticks:
        canvas.line(left, y(tick), right, y(tick), "z" if tick == 0 else "g")
        canvas.text(left - 5, y(tick) + FONT * 0.35, tick_text(tick), "m", anchor="end")
    canvas.line(left, _BOTTOM, right, _BOTTOM, "x")
    most = max(panel.shares) or 1.0
    places = [x(centre) for centre in panel.centres]
    edges = [left, *((a + b) / 2 for a, b in pairwise(places)), right]
    canvas.boxes(
        [
            (a + 0.5, _BOTTOM - _BAR * share / most, max(b - a - 1, 0.5), _BAR * share / most)
            for (a, b), share in zip(pairwise(edges), panel.shares, strict=True)
        ],
        "fm",
    )
    for at, low, high in zip(places, panel.lows, panel.highs, strict=True):
        canvas.line(at, y.clipped(low), at, y.clipped(high), "a s1")
    canvas.polyline([(at, y.clipped(mean)) for at, mean in zip(places, panel.means, strict=True)], "a")
    for at, mean in zip(places, panel.means, strict=True):
        canvas.dot(at, y.clipped(mean), 2.2, "pa")
    for text, place, anchor in (
        (tick_text(float(f"{x.low:.3g}")), left, "start"),
        (tick_text(float(f"{x.high:.3g}")), right, "end"),
    ):
        canvas.text(place, _BOTTOM + 15, text, "m", anchor=anchor)
    for (a, b), tip in zip(pairwise(edges), panel.tips, strict=True):
        canvas.box(a, _TOP, b - a, _BOTTOM - _TOP, "h", tip)
    return canvas.svg()
