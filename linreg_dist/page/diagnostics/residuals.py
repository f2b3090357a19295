"""Residuals on the page: against the prediction, their distribution, by feature and by level."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from statistics import NormalDist

from linreg_dist.documents import (
    Diagnostics,
    Grid,
    Histogram,
    TargetDiagnostics,
)
from linreg_dist.page.diagnostics.by_value import by_feature, by_level
from linreg_dist.page.plots import Bars, Density, Points
from linreg_dist.page.source import Source, shorten
from linreg_dist.page.view import Figure, Paragraph, Section, Table, section
from linreg_dist.wording.numbers import align_decimals, format_count, format_duration, format_number

_UNEVEN = 1.8  # ratio of spreads, from which it is worth a word


def residual_sections(source: Source) -> Iterator[Section | None]:
    """Yield a section of the residuals of each target that was looked at."""
    found = source.diagnostics
    if found is None:
        reason = source.result.diagnostics_reason
        if reason is not None:
            yield section("Residuals", [Paragraph(f"There are no residual plots: {reason}.")])
        return
    for k, target in enumerate(found.targets):
        yield section(
            f"Residuals of {shorten(target.target)}",
            [
                Paragraph(_what(source, found, target)),
                Paragraph(_reading(target)),
                _by_fitted(target, k),
                _actual(target, k),
                _histogram(target, k),
                _normal(target, k),
                *by_feature(target, k),
                *by_level(target, k),
                _spread_table(target),
            ],
        )
    if more := len(source.targets) - len(found.targets):
        yield section(
            "Residuals of further targets", [Paragraph(f"{more:,} targets more were not looked at.")]
        )


def _what(source: Source, found: Diagnostics, target: TargetDiagnostics) -> str:
    which = "rows that were held out" if found.split == "validation" else "rows it was fitted to"
    text = (
        "A residual is what a prediction lacks: actual less predicted. Shown are "
        f"{format_count(target.rows)} {which}."
    )
    if found.weighted:
        text += " Means, shares and quantiles are weighted."
    return f"{text} {cost_text(found)}"


def cost_text(found: Diagnostics) -> str:
    """Return what the pass over the rows read and what it took."""
    cost = found.cost
    read = f"It read all {format_count(cost.of_row_groups)} row groups"
    if cost.of_row_groups == 1:
        read = "It read the one row group"
    took = format_duration(cost.seconds) if cost.seconds >= 0.1 else f"{1000 * cost.seconds:.0f} ms"
    if cost.stopped is not None:
        read = (
            f"It read a sample, {format_count(cost.row_groups)} of {format_count(cost.of_row_groups)} row "
            f"groups in an order that looks random ({cost.stopped})"
        )
    return (
        f"All plots of residuals and features come from one pass over {format_count(cost.rows)} rows after "
        f"the fit. {read}, and took {took}, {100 * cost.share:.1f} % of the run."
    )


def _reading(target: TargetDiagnostics) -> str:
    """Return in words what a trained eye would see."""
    told = []
    bias = abs(target.mean) / target.sd if target.sd else 0.0
    if bias > 0.05:
        side = "low" if target.mean > 0 else "high"
        told.append(
            f"Predictions are {side} by {format_number(abs(target.mean), 3)} on average, {bias:.0%} of a "
            "standard deviation"
        )
    else:
        told.append("The residuals have no bias to speak of")
    bend = _bend(target.by_fitted)
    if bend is not None:
        told.append(bend)
    spread = _spread(target.by_fitted)
    if spread is not None:
        told.append(spread)
    if target.kurtosis is not None and target.kurtosis > 1:
        told.append(
            f"their tails are heavier than a normal distribution's (excess kurtosis {target.kurtosis:.2g}): "
            "large errors are more frequent than their standard deviation suggests"
        )
    if target.skew is not None and abs(target.skew) > 0.5:
        long = "above" if target.skew > 0 else "below"
        told.append(f"they are skewed ({target.skew:.2g}): the largest errors lie {long} the prediction")
    return "; ".join(told) + "."


def _bend(grid: Grid) -> str | None:
    """Return that the middle of the residuals moves with the prediction, if it does."""
    found = [(rows, m) for rows, m in zip(grid.rows, grid.middles, strict=True) if m is not None]
    if len(found) < 5:
        return None
    half = sum(m[2] - m[0] for _, m in found) / len(found) / 2
    third = len(found) // 3
    parts = [found[:third], found[third:-third], found[-third:]]
    means = [sum(rows * m[1] for rows, m in part) / max(sum(rows for rows, _ in part), 1) for part in parts]
    if half > 0 and max(means) - min(means) > 0.4 * half:
        ends = " and ".join(format_number(mean, 3) for mean in (means[0], means[2]))
        return (
            f"their median moves with the prediction ({format_number(means[1], 3)} in the middle, {ends} at "
            "the ends): a straight line does not fit there"
        )
    return None


def _spread(grid: Grid) -> str | None:
    """Return that the residuals spread more at one end, if they do."""
    found = [m[2] - m[0] for m in grid.middles if m is not None]
    if len(found) < 5:
        return None
    third = len(found) // 3
    low, high = sum(found[:third]) / third, sum(found[-third:]) / third
    if low <= 0 or high <= 0 or 1 / _UNEVEN < high / low < _UNEVEN:
        return None
    grows = f"grows {high / low:.1f}-fold" if high > low else f"shrinks {low / high:.1f}-fold"
    return (
        f"their spread {grows} from small predictions to large ones, so that one standard error does not "
        "hold for all (model.covariance: HC3 does without that)"
    )


def _density(grid: Grid, labels: tuple[str, str], line: tuple[str, str]) -> Density:
    x_label, y_label = labels
    tips = []
    for (left, right), rows, middle in zip(pairwise(grid.x_edges), grid.rows, grid.middles, strict=True):
        tip = f"{x_label} {format_number(left, 4)} to {format_number(right, 4)}\n{rows:,} rows"
        if middle is not None:
            low, mid, high = (format_number(value, 4) for value in middle)
            tip += f"\nmedian {mid}\n90 % of them {low} to {high}"
        tips.append(tip)
    return Density(
        tuple(grid.x_edges),
        tuple(grid.y_edges),
        tuple(tuple(column) for column in grid.counts),
        x_label,
        y_label,
        *line,
        middles=tuple(None if m is None else (m[0], m[1], m[2]) for m in grid.middles),
        middle_label="median, and 5 % and 95 %",
        tips=tuple(tips),
    )


def _grid_table(grid: Grid, caption: str, x_label: str) -> Table:
    rows = [
        (f"{format_number(left, 4)} to {format_number(right, 4)}", rows, middle)
        for (left, right), rows, middle in zip(pairwise(grid.x_edges), grid.rows, grid.middles, strict=True)
    ]
    columns = [
        align_decimals([format_number(None if m is None else m[i], 4) for _, _, m in rows]) for i in range(3)
    ]
    counts = align_decimals([format_count(count) for _, count, _ in rows])
    return Table(
        caption,
        (x_label, "rows", "5 %", "median", "95 %"),
        tuple(zip((label for label, _, _ in rows), counts, *columns, strict=True)),
    )


def _beyond(grid: Grid) -> str:
    total = grid.beyond + sum(map(sum, grid.counts))
    share = grid.beyond / total if total else 0.0
    return f" {100 * share:.2g} % of the rows lie beyond the frame." if share > 0 else ""


def _by_fitted(target: TargetDiagnostics, k: int) -> Figure:
    grid, name = target.by_fitted, shorten(target.target, 30)
    labels = (f"predicted {name}", "residual")
    return Figure(
        f"by-fitted-{k}",
        _density(grid, labels, ("zero", "no error")),
        "Residuals against predictions. The median of a good model stays on the line of no error, and the "
        f"band of 90 % has one width; a bend or a funnel shows what it misses.{_beyond(grid)}",
        f"Residuals against predicted {name}: {_middles_text(grid)}",
        _grid_table(grid, f"Quantiles of the residual of {name} by prediction", "predicted"),
    )


def _actual(target: TargetDiagnostics, k: int) -> Figure:
    grid, name = target.actual_by_fitted, shorten(target.target, 30)
    labels = (f"predicted {name}", f"actual {name}")
    return Figure(
        f"actual-{k}",
        _density(grid, labels, ("diagonal", "actual = predicted")),
        f"Actual against predicted. Where the median leaves the diagonal, predictions are too low (above it) "
        f"or too high (below it).{_beyond(grid)}",
        f"Actual against predicted {name}: {_middles_text(grid)}",
        _grid_table(grid, f"Quantiles of actual {name} by prediction", "predicted"),
    )


def _middles_text(grid: Grid) -> str:
    found = [
        (left, right, m)
        for (left, right), m in zip(pairwise(grid.x_edges), grid.middles, strict=True)
        if m is not None
    ]
    if not found:
        return "too few rows for a median."
    shown = found[:: max(1, len(found) // 3)][:4]
    return (
        "; ".join(
            f"median {format_number(m[1], 3)} from {format_number(left, 3)} to {format_number(right, 3)}"
            for left, right, m in shown
        )
        + "."
    )


def _histogram(target: TargetDiagnostics, k: int) -> Figure:
    found = target.histogram
    total = sum(found.counts) + found.below + found.above
    width = found.edges[1] - found.edges[0]
    normal = NormalDist(target.mean, target.sd or 1e-300)
    centres = [found.edges[0] + (found.edges[-1] - found.edges[0]) * i / 120 for i in range(121)]
    curve = tuple((x, normal.pdf(x) * total * width) for x in centres) if target.sd > 0 else ()
    tips = tuple(
        f"{format_number(left, 4)} to {format_number(right, 4)}\n{100 * count / total:.2f} % of the rows"
        for (left, right), count in zip(pairwise(found.edges), found.counts, strict=True)
    )
    beyond = (found.below + found.above) / total if total else 0.0
    outside = f" {100 * beyond:.2g} % lie beyond the frame." if beyond else ""
    return Figure(
        f"histogram-{k}",
        Bars(
            tuple(found.edges),
            tuple(found.counts),
            "residual",
            "rows",
            curve,
            "residuals",
            "normal, of the same mean and spread",
            tips,
        ),
        f"Distribution of the residuals beside a normal one.{outside}",
        f"Histogram of the residuals: mean {format_number(target.mean, 3)}, standard deviation "
        f"{format_number(target.sd, 3)}, median {format_number(target.quantiles.get('50'), 3)}.",
        _bars_table(found, total, shorten(target.target, 30)),
    )


def _bars_table(found: Histogram, total: float, name: str) -> Table:
    edges = [format_number(edge, 4) for edge in found.edges]
    places = [f"below {edges[0]}", *(f"{a} to {b}" for a, b in pairwise(edges)), f"above {edges[-1]}"]
    shares = [f"{100 * count / total:.2f} %" for count in (found.below, *found.counts, found.above)]
    return Table(
        f"Share of the residuals of {name}",
        ("residual", "share"),
        tuple(zip(places, align_decimals(shares), strict=True)),
    )


def _normal(target: TargetDiagnostics, k: int) -> Figure:
    points = tuple(
        (
            z,
            value,
            f"{100 * NormalDist().cdf(z):.3g} % of the residuals are below {format_number(value, 4)}; "
            f"normal: {format_number(target.mean + target.sd * z, 4)}",
        )
        for z, value in target.normal_quantiles
    )
    return Figure(
        f"normal-{k}",
        Points(
            points,
            "normal quantile (standard deviations)",
            "quantile of the residuals",
            (target.mean, target.sd),
            "normal, of the same mean and spread",
            points_label="residuals",
        ),
        "Quantiles of the residuals against those of a normal distribution (QQ plot). Points off the line at "
        "the ends are tails that are heavier or lighter than normal ones.",
        "QQ plot of the residuals: "
        + "; ".join(
            f"at {z:.1f} standard deviations {format_number(value, 3)} against "
            f"{format_number(target.mean + target.sd * z, 3)}"
            for z, value in (target.normal_quantiles[0], target.normal_quantiles[-1])
        )
        + ".",
    )


def _spread_table(target: TargetDiagnostics) -> Table:
    facts = {
        "mean": target.mean,
        "standard deviation": target.sd,
        "skewness": target.skew,
        "excess kurtosis": target.kurtosis,
        **{f"{percent} % are below": value for percent, value in target.quantiles.items()},
    }
    cells = align_decimals([format_number(value, 4) for value in facts.values()])
    return Table(
        f"Residuals of {shorten(target.target)}", ("", "value"), tuple(zip(facts, cells, strict=True))
    )
