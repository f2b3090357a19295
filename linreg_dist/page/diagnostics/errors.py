"""Single rows on the page: the largest errors with their place in the data, and rows that steer the fit."""

from __future__ import annotations

from collections.abc import Iterator

from linreg_dist.documents import Cause, Diagnostics, RowResidual, TargetDiagnostics
from linreg_dist.page.plots import Points
from linreg_dist.page.source import Source, shorten
from linreg_dist.page.view import Figure, Paragraph, Section, Table, section
from linreg_dist.wording.numbers import NO_VALUE, align_decimals, format_count, format_number

_SPLITS = {"train": "training", "validation": "held out"}
_MOST_ROWS = 12
_EXPLAINED = (
    "The rows, of those that were looked at, whose predictions are furthest off. A row's number counts those "
    "of its file from 0."
)
_CAUSES = (
    " Behind it are the columns that move its prediction most, and by how much away from that of an average "
    "row."
)
_COOK = 4.0  # divided by the number of rows: the usual line above which Cook's distance is worth a look


def error_sections(source: Source) -> Iterator[Section | None]:
    """Yield the largest errors of each target that was looked at."""
    found = source.diagnostics
    for k, target in enumerate(found.targets if found else ()):
        if not target.largest or found is None:
            continue
        yield section(
            f"Largest errors of {shorten(target.target)}",
            [
                Paragraph(_EXPLAINED + _CAUSES * any(row.causes for row in target.largest)),
                _table(target),
                _influence(source, found, target, k),
                _leverage_table(target),
                Paragraph(f"No leverage: {found.leverage_reason}.") if found.leverage_reason else None,
            ],
        )


def _table(target: TargetDiagnostics) -> Table:
    rows = target.largest[:_MOST_ROWS]
    columns = [
        align_decimals([format_number(value, 5) for value in values])
        for values in (
            [row.actual for row in rows],
            [row.fitted for row in rows],
            [row.residual for row in rows],
        )
    ]
    places = [f"{shorten(row.file, 60)} row {format_count(row.row)}" for row in rows]
    splits = [_SPLITS.get(row.split, row.split) for row in rows]
    columns.append(splits)
    if any(row.causes for row in rows):
        columns.append([", ".join(map(_cause, row.causes)) or NO_VALUE for row in rows])
    titles = ("file and row", "actual", "predicted", "residual", "rows", "because of")
    return Table(
        f"Largest errors of {shorten(target.target)}",
        titles[: 1 + len(columns)],
        tuple(zip(places, *columns, strict=True)),
        frozenset({4, 5}),
    )


def _cause(cause: Cause) -> str:
    moved = format_number(cause.contribution, 3)
    sign = "" if moved.startswith("-") else "+"
    value = shorten(cause.value, 40) if isinstance(cause.value, str) else f"{cause.value:.5g}"
    return f"{shorten(cause.feature, 40)} {value} ({sign}{moved})"


def _influence(source: Source, found: Diagnostics, target: TargetDiagnostics, k: int) -> Figure | None:
    known = [row for row in target.influence if row.leverage is not None and row.studentised is not None]
    if len(known) < 2:
        return None
    limit = _COOK / max(source.rows.train, 1)
    marked = frozenset(i for i, row in enumerate(known) if (row.cook or 0.0) > limit)
    average = _average_leverage(source)
    points = tuple((row.leverage or 0.0, row.studentised or 0.0, _row_tip(row)) for row in known)
    worst = max(known, key=lambda row: row.cook or 0.0)
    return Figure(
        f"influence-{k}",
        Points(
            points,
            "leverage",
            "studentised residual",
            (0.0, 0.0),
            "no error",
            marked,
            "training rows",
            "Cook's distance above 4 / rows",
        ),
        "Leverage (how far a row is from the others, and so how much it draws the fit to itself) against its "
        f"residual in standard deviations, for a sample of {len(known):,} training rows with those of the "
        f"largest leverage and error. A row has a leverage of {format_number(average, 2)} on average.",
        f"Leverage against studentised residual of {len(known):,} training rows; {len(marked):,} have a "
        f"large Cook's distance, the largest {format_number(worst.cook, 3)} in {shorten(worst.file)} row "
        f"{format_count(worst.row)}.",
    )


def _average_leverage(source: Source) -> float:
    columns = source.model.encoding.num_encoded + source.model.details.fit_intercept
    return columns / max(source.rows.train, 1)


def _row_tip(row: RowResidual) -> str:
    return (
        f"{shorten(row.file, 60)} row {format_count(row.row)}\nactual {format_number(row.actual, 5)}, "
        f"predicted {format_number(row.fitted, 5)}\nleverage {format_number(row.leverage, 3)}, Cook's "
        f"distance {format_number(row.cook, 3)}"
    )


def _leverage_table(target: TargetDiagnostics) -> Table | None:
    known = [row for row in target.influence if row.leverage is not None]
    rows = sorted(known, key=lambda row: -(row.leverage or 0.0))[:8]
    if not rows:
        return None
    return Table(
        "The largest leverages",
        ("file and row", "leverage", "studentised", "Cook's distance"),
        tuple(
            zip(
                (f"{shorten(row.file, 60)} row {format_count(row.row)}" for row in rows),
                align_decimals([format_number(row.leverage, 3) for row in rows]),
                align_decimals([format_number(row.studentised, 3) for row in rows]),
                align_decimals([format_number(row.cook, 3) for row in rows]),
                strict=True,
            )
        ),
    )
