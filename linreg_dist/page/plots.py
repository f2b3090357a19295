"""The plots of a page in plain data: what is drawn, without how."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effect:
    """A line of a forest plot; without an interval only the point is drawn.

    Attributes:
        label, value: of the point.
        low, high: of the interval.
        text: beside it, at the right; None shows the value.

    """

    label: str
    value: float
    low: float | None
    high: float | None
    text: str | None = None


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
        x_ticks: (place, text) of marks; empty lets the axis choose.
        whole_x: whether x counts something, so that only whole numbers are marked.
        log_y: whether y is on a logarithmic scale.
        top: what is above it is cut off; None shows all.
        band: (bottom, top) of a band over the whole width, and its name.
        mark: (x, name) of an upright line.

    """

    curves: tuple[Curve, ...]
    x_label: str
    y_label: str
    x_ticks: tuple[tuple[float, str], ...] = ()
    whole_x: bool = True
    log_y: bool = False
    top: float | None = None
    band: tuple[float, float, str] | None = None
    mark: tuple[float, str] | None = None


@dataclass(frozen=True)
class Density:
    """How many rows lie where, as shades of a grid, and what is in the middle of each column.

    Attributes:
        x_edges, y_edges: of the cells, ascending.
        counts: rows (or their weights) of cell [x][y].
        x_label, y_label: of the axes.
        line: what the middle is compared with: ``diagonal`` is y = x, ``zero`` is y = 0.
        middles: of each column, (low, middle, high), or None where it has too few rows.
        middle_label, line_label: their names.
        tips: what is said of each column.

    """

    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    counts: tuple[tuple[float, ...], ...]
    x_label: str
    y_label: str
    line: str
    line_label: str
    middles: tuple[tuple[float, float, float] | None, ...] = ()
    middle_label: str = ""
    tips: tuple[str, ...] = ()


@dataclass(frozen=True)
class Bars:
    """A histogram, and a curve to compare it with.

    Attributes:
        edges, heights: of the bars.
        x_label, y_label: of the axes.
        curve: (x, y) points of the curve; empty for none.
        bars_label, curve_label: their names.
        tips: what is said of each bar.

    """

    edges: tuple[float, ...]
    heights: tuple[float, ...]
    x_label: str
    y_label: str
    curve: tuple[tuple[float, float], ...] = ()
    bars_label: str = ""
    curve_label: str = ""
    tips: tuple[str, ...] = ()


@dataclass(frozen=True)
class Points:
    """Points, and a straight line to compare them with.

    Attributes:
        points: (x, y, what is said of it); those in ``marked`` are drawn in the second colour.
        x_label, y_label: of the axes.
        line: (intercept, slope); None for none.
        line_label: its name.
        marked: numbers of points.
        points_label, marked_label: their names.

    """

    points: tuple[tuple[float, float, str], ...]
    x_label: str
    y_label: str
    line: tuple[float, float] | None = None
    line_label: str = ""
    marked: frozenset[int] = frozenset()
    points_label: str = ""
    marked_label: str = ""


@dataclass(frozen=True)
class Panel:
    """One small plot of many: the mean of something in bins of a feature, and how many rows each bin has.

    Attributes:
        title: the feature.
        centres, means, lows, highs, shares: of each bin; shares are of all rows.
        tips: what is said of each bin.

    """

    title: str
    centres: tuple[float, ...]
    means: tuple[float, ...]
    lows: tuple[float, ...]
    highs: tuple[float, ...]
    shares: tuple[float, ...]
    tips: tuple[str, ...]


@dataclass(frozen=True)
class Panels:
    """Small plots side by side, all with one scale upwards."""

    panels: tuple[Panel, ...]
    low: float
    high: float


@dataclass(frozen=True)
class Matrix:
    """The lower half of a symmetric matrix of numbers from -1 to 1."""

    names: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Spans:
    """Lengths of time below each other, each made of parts.

    Attributes:
        rows: (label, length of each part).
        parts: their names.
        x_label: of the axis.

    """

    rows: tuple[tuple[str, tuple[float, ...]], ...]
    parts: tuple[str, ...]
    x_label: str


@dataclass(frozen=True)
class Side:
    """Effects of several runs side by side.

    Attributes:
        names: of the runs.
        rows: a label, and (value, low, high) of each run; None where it has none, low None without interval.
        x_label: of the scale.

    """

    names: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[float, float | None, float | None] | None, ...]], ...]
    x_label: str


Plot = Forest | Curves | Density | Bars | Points | Panels | Matrix | Spans | Side
