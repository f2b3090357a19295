"""Residuals by the value of a column: small plots by feature, forest plots by level."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from linreg_dist.documents import ColumnResiduals, FeatureResiduals, TargetDiagnostics
from linreg_dist.page.plots import Effect, Forest, Panel, Panels
from linreg_dist.page.source import shorten
from linreg_dist.page.view import Block, Figure, Paragraph, Table
from linreg_dist.wording.numbers import align_decimals, format_count, format_number

_MOST_PANELS = (12, 6)  # of the first target, and of a further one
_MOST_TABLED = 6
_MOST_LEVEL_FIGURES = 4
_MOST_LEVELS = 20
_Z = 1.96
_FEW = 5.0  # rows of a bin, below which its mean says nothing


def by_feature(target: TargetDiagnostics, k: int) -> Iterator[Block]:
    """Yield the mean residual by the value of the most important features."""
    panels = [panel for found in target.by_feature if (panel := _panel(found)) is not None]
    if not panels:
        return
    shown = panels[: _MOST_PANELS[k > 0]]
    bound = max(
        max(map(abs, panel.means)) + sorted(map(abs, panel.means))[len(panel.means) // 2] for panel in shown
    )
    bound = max(bound, 0.5 * target.sd) or 1.0
    more = len(target.by_feature) - len(shown)
    yield Figure(
        f"by-feature-{k}",
        Panels(tuple(shown), -bound, bound),
        "Mean residual by the value of a feature, with bars of 95 % for each mean, above how many rows there "
        "are; all have one scale. A mean that leaves zero and comes back is a bend that a straight line "
        "cannot follow: a square, a spline or levels of that feature may help."
        + (f" {more:,} more features are in diagnostics.json." if more > 0 else ""),
        "Mean residual by feature: "
        + "; ".join(
            f"{panel.title} between {format_number(min(panel.means), 3)} and "
            f"{format_number(max(panel.means), 3)}"
            for panel in shown[:6]
        )
        + ".",
        _feature_table(target.by_feature[:_MOST_TABLED], shorten(target.target, 30)),
    )


def _panel(found: FeatureResiduals) -> Panel | None:
    total = sum(found.rows)
    centres, means, lows, highs, shares, tips = [], [], [], [], [], []
    for (left, right), rows, mean, sd in zip(
        pairwise(found.edges), found.rows, found.mean, found.sd, strict=True
    ):
        if mean is None or sd is None or rows < _FEW:
            continue
        error = _Z * sd / math.sqrt(rows)
        centres.append((left + right) / 2)
        means.append(mean)
        lows.append(mean - error)
        highs.append(mean + error)
        shares.append(rows / total)
        tips.append(
            f"{shorten(found.feature)} {format_number(left, 4)} to {format_number(right, 4)}\n{rows:,} rows\n"
            f"mean residual {format_number(mean, 3)} ± {format_number(error, 2)}"
        )
    if len(centres) < 2:
        return None
    return Panel(
        shorten(found.feature),
        tuple(centres),
        tuple(means),
        tuple(lows),
        tuple(highs),
        tuple(shares),
        tuple(tips),
    )


def _feature_table(found: Sequence[FeatureResiduals], name: str) -> Table:
    rows = [
        (shorten(feature.feature), f"{format_number(left, 4)} to {format_number(right, 4)}", count, mean, sd)
        for feature in found
        for (left, right), count, mean, sd in zip(
            pairwise(feature.edges), feature.rows, feature.mean, feature.sd, strict=True
        )
        if count
    ]
    cells = [
        align_decimals([format_count(row[2]) for row in rows]),
        align_decimals([format_number(row[3], 4) for row in rows]),
        align_decimals([format_number(row[4], 4) for row in rows]),
    ]
    return Table(
        f"Residuals of {name} by feature, the most important ones; the first and the last range are open",
        ("feature", "range", "rows", "mean", "std dev"),
        tuple(zip((row[0] for row in rows), (row[1] for row in rows), *cells, strict=True)),
    )


def by_level(target: TargetDiagnostics, k: int) -> Iterator[Block]:
    """Yield the mean residual by the levels of the first categorical columns."""
    found = [column for column in target.by_level if len(column.levels) > 1]
    for number, column in enumerate(found[:_MOST_LEVEL_FIGURES]):
        yield _level_figure(target, column, f"by-level-{k}-{number}")
    if (more := len(found) - _MOST_LEVEL_FIGURES) > 0:
        yield Paragraph(f"Residuals by the levels of {more:,} more columns are in diagnostics.json.")


def _level_figure(target: TargetDiagnostics, column: ColumnResiduals, name: str) -> Figure:
    def error(sd: float, rows: int) -> float:
        return _Z * sd / math.sqrt(rows)

    # Those of which it is surest that they are off, and by much.
    levels = sorted(
        column.levels, key=lambda level: -abs(level.mean) / max(error(level.sd, level.rows), 1e-300)
    )[:_MOST_LEVELS]
    levels.sort(key=lambda level: -level.mean)
    effects = tuple(
        Effect(
            shorten(level.level) or "(empty)",
            level.mean,
            level.mean - error(level.sd, level.rows),
            level.mean + error(level.sd, level.rows),
            f"{level.rows:,} rows",
        )
        for level in levels
    )
    left_out = column.left_out + len(column.levels) - len(levels)
    title = shorten(column.column)
    table = Table(
        f"Residuals of {shorten(target.target, 30)} by {title}",
        ("level", "rows", "mean", "std dev"),
        tuple(
            zip(
                (shorten(level.level) for level in column.levels),
                align_decimals([format_count(level.rows) for level in column.levels]),
                align_decimals([format_number(level.mean, 4) for level in column.levels]),
                align_decimals([format_number(level.sd, 4) for level in column.levels]),
                strict=True,
            )
        ),
    )
    return Figure(
        name,
        Forest(effects, f"mean residual of {shorten(target.target, 20)}"),
        f"Mean residual by {title}, with bars of 95 %: a level right of the line is predicted too low."
        + (f" {left_out:,} more levels have less to show." if left_out else ""),
        f"Mean residual by {title}: "
        + "; ".join(f"{effect.label} {format_number(effect.value, 3)}" for effect in effects[:5])
        + ".",
        table,
    )
