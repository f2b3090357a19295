"""Metrics on the page, and the account of every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from linreg_dist.documents import Metrics
from linreg_dist.page.source import Source, shorten
from linreg_dist.page.view import Block, Paragraph, Section, Table, section
from linreg_dist.wording.numbers import NO_VALUE, align_decimals, format_count, format_number
from linreg_dist.wording.results import METRICS, metric_values

_SPLITS = {"train": "training rows", "validation": "validation rows"}
_DROPPED = {"filter": "left out by data.filter", "missing": "left out for missing values"}
_MOST_TARGETS = 50
_MOST_COLUMNS = 30


def quality_section(source: Source) -> Section | None:
    """Return R², RMSE, MAE and MSE of both splits, for each target if there are several."""
    splits = {
        split: found
        for split, found in (("train", source.metrics.train), ("validation", source.metrics.validation))
        if found is not None
    }
    blocks: list[Block | None] = [_summary(source)]
    if len(source.targets) == 1:
        blocks.append(_side_by_side(source, splits))
        blocks.append(_baseline(source))
    else:
        blocks += [_by_target(found, _SPLITS[split]) for split, found in splits.items()]
        if len(source.targets) > _MOST_TARGETS:
            blocks.append(
                Paragraph(f"{len(source.targets) - _MOST_TARGETS:,} targets more are in result.json.")
            )
    if source.metrics.train is not None and (reason := source.metrics.train.mae_reason):
        blocks.append(Paragraph(f"No MAE: {reason}."))
    return section("How good it is", blocks)


def _summary(source: Source) -> Paragraph | None:
    validation = source.metrics.validation
    found = validation or source.metrics.train
    if found is None:
        return None
    where = "the rows it was fitted to" if validation is None else "the rows that were held out"
    if len(source.targets) > 1:
        return Paragraph(
            f"The first row of each table is the plain mean over the {len(source.targets)} targets. RMSE and "
            "MAE are in the units of each target."
        )
    target = shorten(source.targets[0])
    parts = []
    if found.r2 is not None:
        parts.append(f"the model explains {100 * found.r2:.1f} % of the variance of {target}")
    errors = f"its predictions are off by {format_number(found.rmse, 4)} in root mean square"
    if found.mae is not None:
        errors += f" and by {format_number(found.mae, 4)} on average"
    parts.append(f"{errors}, in the units of {target}")
    return Paragraph(f"On {where}, {'; '.join(parts)}.")


def _side_by_side(source: Source, metrics: Mapping[str, Metrics]) -> Table:
    """Return a column per split, a row per metric."""
    numbers = {"train": source.rows.train, "validation": source.rows.validation}
    columns = []
    for split, found in metrics.items():
        cells = align_decimals(list(map(format_number, metric_values(found))))
        # A count has no decimals to stand above: it ends where the longest of them does.
        columns.append([format_count(numbers[split]).rjust(len(cells[0])), *cells])
    return Table(
        f"Quality of the fit for {shorten(source.targets[0])}",
        ("", *(_SPLITS[split] for split in metrics)),
        tuple(zip(("rows", *METRICS.values()), *columns, strict=True)),
    )


def _baseline(source: Source) -> Table | None:
    """Return how much better the model is than the simplest one, on the rows whose residuals are shown."""
    found = source.diagnostics
    if found is None or not found.targets:
        return None
    target = found.targets[0]
    pairs = {"RMSE": (target.rmse, target.baseline_rmse), "MAE": (target.mae, target.baseline_mae)}
    columns = [
        align_decimals([format_number(own, 4) for own, _ in pairs.values()]),
        align_decimals([format_number(simple, 4) for _, simple in pairs.values()]),
        align_decimals(
            [f"{100 * (1 - own / simple):.1f} %" if simple else NO_VALUE for own, simple in pairs.values()]
        ),
    ]
    return Table(
        f"Against predicting the training mean for every row, on {format_count(target.rows)} "
        f"{_SPLITS[found.split]}",
        ("", "this model", "the mean", "less by"),
        tuple(zip(pairs, *columns, strict=True)),
    )


def _by_target(metrics: Metrics, where: str) -> Table:
    """Return a row per target, a column per metric, below a row of their means."""
    each = list((metrics.per_target or {}).items())[:_MOST_TARGETS]
    rows = [metric_values(metrics), *(metric_values(found) for _, found in each)]
    columns = [
        align_decimals([format_number(value) for value in column]) for column in zip(*rows, strict=True)
    ]
    names = ("mean of all", *(shorten(name) for name, _ in each))
    return Table(
        f"Quality of the fit on the {where}",
        ("target", *METRICS.values()),
        tuple(zip(names, *columns, strict=True)),
    )


def rows_section(source: Source) -> Section | None:
    """Return how many rows trained, validated and were left out, by which rule, and the missing values."""
    rows = source.rows
    counts = {
        "training": rows.train,
        "validation (held out)": rows.validation,
        **{_DROPPED.get(rule, f"left out by {rule}"): count for rule, count in rows.dropped.items()},
    }
    total = sum(counts.values())
    counts["all rows read"] = total
    shares = [f"{100 * count / total:.1f} %" if total else NO_VALUE for count in counts.values()]
    table = Table(
        "What became of every row",
        ("rows", "number", "share"),
        tuple(
            zip(
                counts,
                align_decimals([format_count(count) for count in counts.values()]),
                align_decimals(shares),
                strict=True,
            )
        ),
    )
    missing = source.result.missing_values or {}
    worst = sorted(((n, name) for name, n in missing.items() if n), key=lambda item: (-item[0], item[1]))
    if not worst:
        return section("Rows", [table, Paragraph("No value was missing in the columns that were used.")])
    return section("Rows", [table, Paragraph(_missing_text(source)), *_missing_table(worst)])


def _missing_text(source: Source) -> str:
    what = {
        "drop": "A row that lacks a value of any column it needs was left out.",
        "mean": "A missing feature was replaced by the mean of the training rows; a row that lacks its "
        "target or weight was left out.",
    }
    text = what.get(source.model.missing, "A row that lacks a value ends a run with data.missing: error.")
    return f"Null, NaN and infinite values count as missing. {text}"


def _missing_table(worst: Sequence[tuple[int, str]]) -> list[Block]:
    shown = worst[:_MOST_COLUMNS]
    numbers = align_decimals([format_count(number) for number, _ in shown])
    blocks: list[Block] = [
        Table(
            "Missing values by column; a row may lack several",
            ("column", "values"),
            tuple(zip((shorten(name) for _, name in shown), numbers, strict=True)),
        )
    ]
    if len(worst) > len(shown):
        blocks.append(Paragraph(f"{len(worst) - len(shown):,} more columns are in result.json."))
    return blocks
