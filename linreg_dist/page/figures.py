"""Plots as SVG that takes its colours from the page, with the same bytes for the same data.

They are drawn in five colours that stand for the page's own, `_COLOURS`, so that they follow a dark scheme;
text stays text, in the page's font. All that matplotlib writes beside the drawing (a DOCTYPE, name spaces,
metadata, a style sheet that would act on the whole page) is taken away.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from linreg_dist.page.source import shorten
from linreg_dist.page.view import Curves, Forest
from linreg_dist.wording.numbers import format_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing
    from matplotlib.ticker import Locator

_WIDTH_IN, _CURVES_HEIGHT_IN = 5.0, 2.7  # 360 units: text of 9 units is legible on a phone
_FONT_SIZE = 9.0
_CHARACTER_IN = 0.085  # of the font that the layout is made for, whose characters are wide
_LABEL_WIDTH = 22.0  # of such characters, at most
_TEXT, _RULE, _ACCENT, _SECOND, _MUTED = (f"#00000{i}" for i in range(1, 6))
_COLOURS = {
    _TEXT: "currentColor",
    _RULE: "var(--rule)",
    _ACCENT: "var(--accent)",
    _SECOND: "var(--second)",
    _MUTED: "var(--muted)",
}
_MOST_CURVES = 6
_MOST_TICKS = 8
_STYLE = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the layout is the same everywhere
    "font.size": _FONT_SIZE,
    "axes.edgecolor": _RULE,
    "axes.labelcolor": _TEXT,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": False,  # as in the tables
    "axes.formatter.use_mathtext": False,
    "legend.frameon": False,
    "legend.labelcolor": _TEXT,
    "svg.fonttype": "none",
    "svg.hashsalt": "linreg_dist",
    "text.color": _TEXT,
    "text.parse_math": False,  # a dollar in a column's name is a dollar
    "xtick.color": _RULE,
    "xtick.labelcolor": _TEXT,
    "ytick.color": _RULE,
    "ytick.labelcolor": _TEXT,
}


@dataclass(frozen=True)
class Svg:
    """A drawing: the size of its coordinates and what is inside of the ``svg`` element."""

    width: float
    height: float
    body: str


def draw(plot: Forest | Curves, name: str) -> Svg:
    """Return a plot as SVG.

    Args:
        plot: what to draw.
        name: begins every id, so that several drawings can stand on one page.

    """
    with _matplotlib_alone():
        from matplotlib.figure import Figure as Drawing

        height = _forest_height(plot) if isinstance(plot, Forest) else _CURVES_HEIGHT_IN
        drawing = Drawing(figsize=(_WIDTH_IN, height))
        if isinstance(plot, Forest):
            _draw_forest(drawing, plot)
        else:
            _draw_curves(drawing, plot)
        sink = io.StringIO()
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        drawing.savefig(sink, format="svg", transparent=True, metadata=metadata)
    return Svg(72 * _WIDTH_IN, 72 * height, _inner(sink.getvalue(), name))


@contextmanager
def _matplotlib_alone() -> Iterator[None]:
    """Let neither the settings of this process act on the drawing, nor the drawing on this process.

    A name in a script that the font lacks is drawn by the browser; that matplotlib could not, and that it has
    no folder for its cache, is no news for who runs a job.
    """
    logger = logging.getLogger("matplotlib")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        import matplotlib

        kinds = ("axes", "figure", "font", "legend", "lines", "patch", "path", "savefig", "svg", "text")
        own = tuple(f"{kind}." for kind in (*kinds, "errorbar", "xtick", "ytick"))
        style: dict[Any, Any] = {
            **{key: value for key, value in matplotlib.rcParamsDefault.items() if key.startswith(own)},
            **_STYLE,
        }
        with warnings.catch_warnings(), matplotlib.rc_context(style):
            warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
            yield
    finally:
        logger.setLevel(before)


def _forest_height(plot: Forest) -> float:
    return 0.62 + 0.215 * len(plot.effects)


def _draw_forest(drawing: Drawing, plot: Forest) -> None:
    labels = [_cut(effect.label) for effect in plot.effects]
    texts = [format_number(effect.value, 3) for effect in plot.effects]
    left = (0.15 + _CHARACTER_IN * max(map(_width, labels))) / _WIDTH_IN
    right = 1 - (0.1 + _CHARACTER_IN * max(map(len, texts))) / _WIDTH_IN
    height = _forest_height(plot)
    axes = drawing.add_axes((left, 0.5 / height, right - left, 1 - 0.55 / height))
    places = range(len(plot.effects), 0, -1)
    for y, effect in zip(places, plot.effects, strict=True):
        if plot.reach is not None and abs(effect.value) > plot.reach:
            end = plot.reach if effect.value > 0 else -plot.reach
            axes.plot((0.9 * end, end), (y, y), color=_ACCENT, linewidth=1.5)
            axes.plot((end,), (y,), marker=">" if end > 0 else "<", markersize=5, color=_ACCENT)
            continue
        if effect.low is not None and effect.high is not None:
            axes.plot((effect.low, effect.high), (y, y), color=_ACCENT, linewidth=1.5)
        axes.plot((effect.value,), (y,), marker="o", markersize=4, color=_ACCENT)
    beside: Any = {"xycoords": ("axes fraction", "data"), "va": "center_baseline", "ha": "left"}
    for y, text in zip(places, texts, strict=True):
        axes.annotate(text, (1.02, y), annotation_clip=False, **beside)
    axes.axvline(0, color=_MUTED, linewidth=0.8, zorder=0)
    if plot.reach is not None:
        low = min(min(effect.value, effect.low or 0.0) for effect in plot.effects)
        high = max(max(effect.value, effect.high or 0.0) for effect in plot.effects)
        edge = 1.03 * plot.reach
        axes.set_xlim(max(-edge, 1.1 * low - 0.03 * edge), min(edge, 1.1 * high + 0.03 * edge))
    axes.set_yticks(list(places), labels)
    axes.set_ylim(0.4, len(plot.effects) + 0.6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlabel(plot.x_label)
    axes.locator_params(axis="x", nbins=5)


def _width(text: str) -> float:
    """Return about how many characters of common width a text is wide."""
    return sum(
        1.5 if east_asian_width(c) in "WF" or c in "MWmw@%" else 1.2 if c.isupper() else 1.0 for c in text
    )


def _cut(label: str) -> str:
    for most in range(len(label), 0, -1):
        if _width(shortened := shorten(label, most)) <= _LABEL_WIDTH:
            return shortened
    return label


def _draw_curves(drawing: Drawing, plot: Curves) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    legend_rows = 0 if plot.band is None else -(-(2 + min(len(plot.curves), _MOST_CURVES)) // 2)
    top = 0.965 - 0.065 * legend_rows
    axes = drawing.add_axes((0.155, 0.175, 0.825, top - 0.175))
    if plot.band is not None:
        bottom, top, label = plot.band
        axes.axhspan(bottom, top, facecolor=_ACCENT, alpha=0.15, linewidth=0, label=label)
    colours = (_ACCENT, _SECOND) if not any(curve.error for curve in plot.curves) else (_ACCENT, _MUTED)
    for i, curve in enumerate(plot.curves[:_MOST_CURVES]):
        few = len(curve.x) <= 40
        axes.errorbar(
            curve.x,
            curve.y,
            yerr=curve.error or None,
            color=colours[min(i, 1)],
            linewidth=1.3,
            linestyle=("-", "--", ":", "-.", (0, (1, 3)), (0, (5, 5)))[i],
            marker="o" if few and i == 0 else "",
            markersize=3,
            label=curve.label,
            zorder=3 - min(i, 1),
        )
    if plot.mark is not None:
        axes.axvline(plot.mark[0], color=_SECOND, linewidth=1.0, linestyle="--", label=plot.mark[1])
    if plot.log_y:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
        axes.yaxis.set_minor_locator(LogLocator(subs=()))
    # Neither an offset nor a power of ten in a corner, where nobody looks for it.
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format(value, ".6g")))
    if not plot.log_y:
        axes.yaxis.set_major_locator(MaxNLocator(6))
    if plot.top is not None:
        low = min(y - e for c in plot.curves for y, e in zip(c.y, c.error or [0.0] * len(c.y), strict=True))
        axes.set_ylim(low - 0.05 * (plot.top - low), plot.top)
    _mark_x(axes, plot, MaxNLocator(_MOST_TICKS, integer=True))
    axes.set_xlabel(plot.x_label)
    axes.set_ylabel(plot.y_label)
    if plot.band is None:
        axes.legend(loc="upper right")  # where a loss that falls leaves room
    else:
        axes.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2)


def _mark_x(axes: Axes, plot: Curves, whole_numbers: Locator) -> None:
    if not plot.x_ticks:
        axes.xaxis.set_major_locator(whole_numbers)
        return
    every = -(-len(plot.x_ticks) // _MOST_TICKS)
    kept = plot.x_ticks[::every]
    axes.set_xticks([place for place, _ in kept], [text for _, text in kept])


def _inner(svg: str, name: str) -> str:
    """Return what is inside of the ``svg`` element, with the page's colours and ids of its own."""
    start = svg.index(">", svg.index("<svg")) + 1
    body = svg[start : svg.rindex("</svg>")]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    # Only tags: what stands between them may be the name of a column.
    body = re.sub(r"<[^>]*>", lambda tag: _clean_tag(tag.group(), name), body)
    return re.sub(r"\n\s*\n+", "\n", body).strip()


def _clean_tag(tag: str, name: str) -> str:
    if tag.startswith("<g "):
        tag = re.sub(r' id="[^"]*"', "", tag)
    tag = tag.replace(' id="', f' id="{name}-').replace("url(#", f"url(#{name}-")
    tag = tag.replace('xlink:href="#', f'href="#{name}-')
    tag = re.sub(r" font-family: [^;\"]*;?", "", tag)
    return re.sub(r"#00000[1-5](?=[;\"])", lambda colour: _COLOURS[colour.group()], tag)
