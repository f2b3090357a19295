"""The features on the page: ranges and spreads, how they hang together, how much that costs a coefficient."""

from __future__ import annotations

from linreg_dist.documents import Diagnostics
from linreg_dist.page.plots import Matrix
from linreg_dist.page.source import Source, shorten, some
from linreg_dist.page.view import Block, Figure, Paragraph, Section, Table, section
from linreg_dist.wording.numbers import align_decimals, format_count, format_number

_MOST_ROWS = 60
_MOST_MATRIX = 20
_HIGH_VIF = 10.0
_STRONG = 0.8


def feature_section(source: Source) -> Section | None:
    """Return what the encoded columns are like."""
    names = source.model.encoding.names
    if not names:
        return None
    found = source.diagnostics
    factors = _factors(source)
    blocks: list[Block | None] = [Paragraph(text) for text in _reading(found, factors)]
    blocks += [_matrix(found), _table(source, factors)]
    if len(names) > _MOST_ROWS:
        blocks.append(
            Paragraph(f"{len(names) - _MOST_ROWS:,} more columns are in diagnostics.json and config.json.")
        )
    return section("Features", blocks)


def _factors(source: Source) -> dict[str, float]:
    """Return the variance inflation factors: those of the fit, else those of the rows that were looked at."""
    of_fit = {row.feature: row.vif for row in source.documents[0].coefficients if row.vif is not None}
    of_pass = {
        feature.feature: feature.vif
        for feature in (source.diagnostics.features if source.diagnostics else ())
        if feature.vif is not None
    }
    return of_fit or of_pass


def _reading(found: Diagnostics | None, factors: dict[str, float]) -> list[str]:
    told = []
    high = sorted((name for name, vif in factors.items() if vif > _HIGH_VIF), key=lambda name: -factors[name])
    if high:
        told.append(
            f"VIF is the factor by which a coefficient's variance is larger than if its column were "
            f"unrelated to the others. It is above {_HIGH_VIF:.0f} for "
            f"{some([f'{name} ({format_number(factors[name], 3)})' for name in high], 8)}: these "
            "coefficients cannot be told apart well, though predictions do not suffer."
        )
    elif factors:
        largest = max(factors, key=lambda name: factors[name])
        told.append(
            "VIF is the factor by which a coefficient's variance is larger than if its column were unrelated "
            f"to the others. The largest is {format_number(factors[largest], 3)}, of {shorten(largest)}: no "
            "two columns say the same."
        )
    if found is not None and found.correlation is not None:
        names, matrix = found.correlation.names, found.correlation.matrix
        pairs = sorted(
            ((abs(matrix[i][j]), i, j) for i in range(len(names)) for j in range(i)), key=lambda p: -p[0]
        )
        strong = [f"{names[i]} and {names[j]} ({matrix[i][j]:.2f})" for size, i, j in pairs if size > _STRONG]
        if strong:
            told.append(f"Strongly correlated: {some(strong, 6)}.")
    return told


def _matrix(found: Diagnostics | None) -> Figure | None:
    if found is None or found.correlation is None:
        return None
    names = [shorten(name) for name in found.correlation.names][:_MOST_MATRIX]
    values = [row[:_MOST_MATRIX] for row in found.correlation.matrix[:_MOST_MATRIX]]
    pairs = sorted(
        ((abs(values[i][j]), i, j) for i in range(len(names)) for j in range(i)), key=lambda pair: -pair[0]
    )
    told = "; ".join(f"{names[i]} and {names[j]} {values[i][j]:.2f}" for _, i, j in pairs[:5])
    cells = [[f"{value:.2f}" for value in row[:i]] + [""] * (len(names) - i) for i, row in enumerate(values)]
    return Figure(
        "correlation",
        Matrix(tuple(names), tuple(tuple(row) for row in values)),
        "Correlation between the columns that move predictions most, on training rows: blue where both rise "
        "together, brown where one falls as the other rises.",
        f"Correlation matrix of {len(names)} columns, the strongest first: {told}.",
        Table(
            "Correlations",
            ("", *names[:-1]),
            tuple((name, *row[:-1]) for name, row in zip(names, cells, strict=True) if name != names[0]),
        ),
    )


def _table(source: Source, factors: dict[str, float]) -> Table:
    names = source.model.encoding.names[:_MOST_ROWS]
    ranges = {
        feature.feature: feature for feature in (source.diagnostics.features if source.diagnostics else ())
    }
    scaling = source.model.details.scaling
    mean = dict(zip(source.model.encoding.names, scaling.x_mean, strict=True)) if scaling else {}
    std = dict(zip(source.model.encoding.names, scaling.x_std, strict=True)) if scaling else {}
    columns = {
        "mean": [format_number(mean.get(name), 4) for name in names],
        "std dev": [format_number(std.get(name), 4) for name in names],
    }
    if ranges:
        columns["lowest"] = [format_number(ranges[name].low if name in ranges else None, 4) for name in names]
        columns["highest"] = [
            format_number(ranges[name].high if name in ranges else None, 4) for name in names
        ]
    if factors:
        columns["VIF"] = [format_number(factors.get(name), 3) for name in names]
    missing = source.result.missing_values or {}
    if any(missing.values()):
        columns["missing"] = [
            format_count(missing.get(name, 0)) if name in missing else "0" for name in names
        ]
    which = "training rows" if not ranges or _is_whole(source) else "training rows, ranges of those looked at"
    return Table(
        f"Columns of the design matrix on {which}",
        ("column", *columns),
        tuple(
            zip(
                (shorten(name) for name in names),
                *(align_decimals(cells) for cells in columns.values()),
                strict=True,
            )
        ),
    )


def _is_whole(source: Source) -> bool:
    return source.diagnostics is not None and source.diagnostics.cost.stopped is None
