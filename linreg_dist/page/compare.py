"""A page that compares runs: their quality, what was set differently, coefficients side by side, times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from linreg_dist.documents import Coefficient, Metrics
from linreg_dist.page.coefficients import effects_of
from linreg_dist.page.fitting import loss_points
from linreg_dist.page.plots import Curve, Curves, Side
from linreg_dist.page.source import Source, shorten, some, without_options
from linreg_dist.page.view import Block, Figure, Items, Page, Paragraph, Section, Table, section
from linreg_dist.wording.numbers import (
    NO_VALUE,
    align_decimals,
    format_count,
    format_duration,
    format_number,
    format_rate,
)

MOST_RUNS = 6
_MOST_TARGETS = 3
_MOST_SIDE = 15
_MOST_ROWS = 200
_NOT_SET = "not set"
_METRICS = {"rmse": "RMSE", "mae": "MAE", "r2": "R²"}
# What is different in every run, or says where it runs and not what.
_NO_SETTING = ("name", "cluster", "run.storage_path")


def build_comparison(sources: Sequence[Source]) -> Page:
    """Return the content of the page of several runs, at most `MOST_RUNS`."""
    names = names_of(sources)
    sections = (
        _notes(sources, names),
        _quality(sources, names),
        _settings(sources, names),
        *_coefficients(sources, names),
        _residuals(sources, names),
        _losses(sources, names),
        _times(sources, names),
    )
    return Page(
        title=f"{len(sources)} runs compared",
        lead=(f"Compared are {some(names)}. The first one's features are listed first.",),
        sections=tuple(found for found in sections if found is not None),
    )


def names_of(sources: Sequence[Source]) -> list[str]:
    """Return a name for each run that no other has."""
    names = [shorten(str(source.result.name), 40) for source in sources]
    longer = [
        shorten("/".join(without_options(source.folder).split("/")[-2:]), 40)
        if names.count(name) > 1
        else name
        for name, source in zip(names, sources, strict=True)
    ]
    return [
        f"{name} ({number + 1})" if longer.count(name) > 1 else name for number, name in enumerate(longer)
    ]


def _notes(sources: Sequence[Source], names: Sequence[str]) -> Section | None:
    told = []
    digests = [source.result.data.digest if source.result.data else None for source in sources]
    if len(set(digests)) > 1:
        told.append("The runs were fitted to different data, so that their errors are not of the same rows.")
    splits = [_setting(source, "data.validation") for source in sources]
    if len({yaml.safe_dump(split) for split in splits}) > 1:
        told.append("Other rows were held out, so that their errors on held-out rows are of different rows.")
    targets = [source.targets for source in sources]
    if len(set(targets)) > 1:
        told.append(
            "They have different targets: "
            f"{'; '.join(f'{name} {some(list(each))}' for name, each in zip(names, targets, strict=True))}."
        )
    losses = {source.model.details.loss or "squared" for source in sources}
    if len(losses) > 1:
        told.append("They minimise different losses: a squared error is not what Huber's loss makes small.")
    return section("Worth knowing", [Items(tuple(told)) if told else None])


def _quality(sources: Sequence[Source], names: Sequence[str]) -> Section | None:
    columns: dict[str, list[str]] = {"training rows": [format_count(source.rows.train) for source in sources]}
    for split, where in (("train", "training"), ("validation", "held out")):
        found: list[Metrics | None] = [getattr(source.metrics, split) for source in sources]
        if not any(found):
            continue
        for key, title in _METRICS.items():
            values = [None if metrics is None else getattr(metrics, key) for metrics in found]
            columns[f"{title}, {where}"] = [format_number(value) for value in values]
    return section(
        "How good they are", [_by_run("Quality of each run", names, columns), _best(sources, names)]
    )


def _best(sources: Sequence[Source], names: Sequence[str]) -> Paragraph | None:
    held_out = [source.metrics.validation for source in sources]
    known = [(metrics.rmse, name) for metrics, name in zip(held_out, names, strict=True) if metrics]
    if len(known) < len(sources) or len({source.targets for source in sources}) > 1:
        return None
    least, name = min(known)
    worst, last = max(known)
    if worst <= least:
        return Paragraph("All have the same error on the rows held out.")
    return Paragraph(
        f"{name} has the least error on the rows held out: {format_number(least, 4)} in root mean square, "
        f"{100 * (1 - least / worst):.2g} % less than {last}."
    )


def _by_run(caption: str, names: Sequence[str], columns: Mapping[str, Sequence[str]]) -> Table:
    """Return a row per run, a column per number."""
    cells = [align_decimals(column) for column in columns.values()]
    return Table(caption, ("run", *columns), tuple(zip(names, *cells, strict=True)))


def _tree(source: Source) -> Any:
    return yaml.safe_load(source.spec_yaml) or {}


def _setting(source: Source, path: str) -> Any:
    node = _tree(source)
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def _flat(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if path in _NO_SETTING:
        return
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from _flat(value, f"{path}.{key}" if path else str(key))
    else:
        text = (
            "none" if node is None else str(node) if not isinstance(node, list) else some([*map(str, node)])
        )
        yield path, shorten(without_options(text))


def _settings(sources: Sequence[Source], names: Sequence[str]) -> Section | None:
    flat = [dict(_flat(_tree(source))) for source in sources]
    keys = dict.fromkeys(key for each in flat for key in each)
    different = [key for key in keys if len({each.get(key, _NOT_SET) for each in flat}) > 1]
    if not different:
        return section("Settings that differ", [Paragraph("All settings are the same.")])
    rows = tuple((key, *(each.get(key, _NOT_SET) for each in flat)) for key in different)
    solvers = [source.solver.name for source in sources]
    chosen = ("the solver that ran", *solvers)
    table = Table(
        "Settings that differ; what is not listed is the same in all",
        ("setting", *names),
        (*rows, chosen) if len(set(solvers)) > 1 and "solver.name" not in different else rows,
        frozenset(range(1, len(names) + 1)),
    )
    return section("Settings that differ", [table])


def _coefficients(sources: Sequence[Source], names: Sequence[str]) -> Iterator[Section | None]:
    if modules := [name for name, source in zip(names, sources, strict=True) if not source.model.is_linear]:
        told = f"A module of your own has no coefficients to set beside others: {some(modules)}."
        yield section("Coefficients", [Paragraph(told)])
        return
    targets = [target for target in sources[0].targets if all(target in each.targets for each in sources)]
    for number, target in enumerate(targets[:_MOST_TARGETS]):
        found = [
            {row.feature: row for row in document.coefficients}
            for source in sources
            for document in source.documents
            if document.target == target
        ]
        features = list(dict.fromkeys(feature for each in found for feature in each))
        shown = features[:_MOST_ROWS]
        intercepts = [
            document.intercept
            for source in sources
            for document in source.documents
            if document.target == target
        ]
        cells = [
            align_decimals(
                [
                    format_number(intercept),
                    *(format_number(row.coef if (row := each.get(name)) else None) for name in shown),
                ]
            )
            for intercept, each in zip(intercepts, found, strict=True)
        ]
        table = Table(
            f"Coefficients for {shorten(target)}",
            ("feature", *names),
            tuple(zip(("(intercept)", *map(shorten, shown)), *cells, strict=True)),
        )
        left_out = len(features) - len(shown)
        blocks: list[Block | None] = [
            _side(sources, names, found, target, number),
            table,
            Paragraph(f"{left_out:,} more features are left out here.") if left_out else None,
        ]
        yield section(f"Coefficients for {shorten(target)}", blocks)
    if not targets:
        yield section("Coefficients", [Paragraph("The runs have no target in common.")])


def _side(
    sources: Sequence[Source],
    names: Sequence[str],
    found: Sequence[Mapping[str, Coefficient]],
    target: str,
    number: int,
) -> Figure | None:
    """Return the largest effects, with the standard deviations of the first run that has the feature."""
    scale: dict[str, float] = {}
    for source, each in zip(sources, found, strict=True):
        rows = list(each.values())
        value_D, _ = effects_of(source, rows)
        for row, value in zip(rows, value_D.tolist(), strict=True):
            if row.coef:
                scale.setdefault(row.feature, abs(value / row.coef))
    size = {
        name: max(abs(each[name].coef) for each in found if name in each) * factor
        for name, factor in scale.items()
    }
    largest = sorted((name for name in size if np.isfinite(size[name])), key=lambda name: -size[name])
    shown = largest[:_MOST_SIDE]
    if not shown:
        return None
    rows_shown = tuple(
        (shorten(name), tuple(_bounds(each.get(name), scale[name]) for each in found)) for name in shown
    )
    told = "; ".join(
        f"{label} " + ", ".join(NO_VALUE if e is None else format_number(e[0], 3) for e in effects)
        for label, effects in rows_shown[:5]
    )
    return Figure(
        f"side-{number}",
        Side(tuple(names), rows_shown, f"change of {shorten(target, 20)}"),
        f"The {len(shown)} largest effects side by side: the change of {shorten(target)}, in its units, when "
        "the feature changes by one standard deviation of the first run that has it (in a model of levels "
        "alone by one); bars are 95 % confidence intervals.",
        f"Effects of {some(list(names))}, the largest first: {told}.",
    )


def _bounds(row: Coefficient | None, scale: float) -> tuple[float, float | None, float | None] | None:
    if row is None:
        return None
    low, high = row.ci_low, row.ci_high
    if low is None or high is None:
        return row.coef * scale, None, None
    return row.coef * scale, low * scale, high * scale


def _residuals(sources: Sequence[Source], names: Sequence[str]) -> Section | None:
    found = [source.diagnostics.targets[0] if source.diagnostics else None for source in sources]
    if not any(found) or len({source.targets[0] for source in sources}) > 1:
        return None
    columns = {
        "rows": [format_count(each.rows if each else None) for each in found],
        "mean": [format_number(each.mean if each else None, 3) for each in found],
        "std dev": [format_number(each.sd if each else None, 4) for each in found],
        **{
            f"{percent} %": [
                format_number(each.quantiles.get(percent) if each else None, 4) for each in found
            ]
            for percent in ("5", "50", "95")
        },
        "the mean's RMSE": [format_number(each.baseline_rmse if each else None, 4) for each in found],
    }
    caption = f"Residuals of {shorten(sources[0].targets[0])}, as each run's own page shows them"
    return section("Residuals", [_by_run(caption, names, columns)])


def _losses(sources: Sequence[Source], names: Sequence[str]) -> Section | None:
    curves = []
    for source, name in zip(sources, names, strict=True):
        points = loss_points(source)
        if len(points) > 1:
            x, y = zip(*points, strict=True)
            curves.append(Curve(name, x, y))
    if not curves:
        return None
    told = "; ".join(
        f"{curve.label} from {format_number(curve.y[0], 4)} to {format_number(curve.y[-1], 4)} in "
        f"{format_duration(curve.x[-1])}"
        for curve in curves
    )
    return section(
        "Training",
        [
            Figure(
                "losses",
                Curves(tuple(curves), "seconds of training", "mean squared error", whole_x=False),
                "Mean squared error against the time spent, of rows held out where there are any, else of "
                "training rows.",
                f"Loss against time: {told}.",
            )
        ],
    )


def _times(sources: Sequence[Source], names: Sequence[str]) -> Section | None:
    def duration(value: float | None) -> str:
        return NO_VALUE if value is None else format_duration(value)

    timings = [source.timing for source in sources]
    workers = [source.result.num_workers or 0 for source in sources]
    columns = {
        "start-up": [duration(timing.startup_s) for timing in timings],
        "training": [duration(timing.train_s) for timing in timings],
        "in all": [duration(timing.total_s) for timing in timings],
        "speed": [format_rate(timing.rows_per_s) if timing.rows_per_s else NO_VALUE for timing in timings],
        "workers": [str(count) if count else "this process" for count in workers],
    }
    table = Table(
        "Time of each run",
        ("run", *columns),
        tuple(zip(names, *columns.values(), strict=True)),
    )
    return section("Time", [table])
