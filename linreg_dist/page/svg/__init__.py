"""Plots as SVG that takes its colours from the page, with the same bytes for the same data.

Written here rather than by a plotting library: what a page needs is a few hundred lines, is legible on a
phone, follows a dark scheme, says its numbers to whoever points at it, and costs milliseconds
(docs/decisions/drawings-of-our-own.md).
"""

from __future__ import annotations

from linreg_dist.page.plots import Bars, Curves, Density, Forest, Matrix, Panels, Plot, Points, Side, Spans
from linreg_dist.page.svg.canvas import Svg
from linreg_dist.page.svg.clouds import draw_bars, draw_density, draw_points
from linreg_dist.page.svg.curves import draw_curves
from linreg_dist.page.svg.rows import draw_forest, draw_matrix, draw_side, draw_spans
from linreg_dist.page.svg.small import draw_panel

__all__ = ["Svg", "draw"]


def draw(plot: Plot) -> list[Svg]:
    """Return a plot as SVG: one drawing, or one for each of many small plots."""
    match plot:
        case Forest():
            return [draw_forest(plot)]
        case Curves():
            return [draw_curves(plot)]
        case Density():
            return [draw_density(plot)]
        case Bars():
            return [draw_bars(plot)]
        case Points():
            return [draw_points(plot)]
        case Matrix():
            return [draw_matrix(plot)]
        case Side():
            return [draw_side(plot)]
        case Spans():
            return [draw_spans(plot)]
        case Panels():
            return [draw_panel(panel, plot) for panel in plot.panels]
