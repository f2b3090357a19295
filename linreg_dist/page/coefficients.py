"""The coefficients on the page: the largest effects, all of them with their inference, the fit statistics."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from linreg_dist.documents import Coefficient, TargetDescription
from linreg_dist.page.plots import Effect, Forest
from linreg_dist.page.source import Source, shorten, some, without_options
from linreg_dist.page.view import Block, Figure, Paragraph, Section, Table, section
from linreg_dist.wording.numbers import align_decimals, format_number, format_p_value
from linreg_dist.wording.results import COEFFICIENT_COLUMNS, fit_facts, inference_notes, intercept_row

MOST_ROWS = 100
_FEWEST_ROWS = 10  # of a target, however many targets there are
_MOST_TARGETS = 10
_MOST_FORESTS = 3
_MOST_EFFECTS = 15
_FAR = 6.0  # times the median of the effects shown
_MEANINGS = {
    "rows": "behind the fit",
    "residual df": "rows less fitted coefficients",
    "R²": "share of the variance that is explained, on the training rows",
    "adjusted R²": "the same, corrected for the number of coefficients",
    "sigma": "standard deviation of the residuals, in the units of the target",
    "F": "tests whether all coefficients but the intercept are zero",
    "AIC": "compares models of the same rows: the smaller the better",
    "BIC": "likewise, with a larger charge for every coefficient",
    "condition number": "how nearly the columns depend on each other: 1 is not at all, above 1,000 is much",
}


def coefficient_sections(source: Source) -> Iterator[Section | None]:
    """Yield a section for each of the first targets."""
    if not source.model.is_linear:
        yield _module_section(source)
        return
    documents = source.documents
    most = max(_FEWEST_ROWS, MOST_ROWS // len(documents))
    for k, document in enumerate(documents[:_MOST_TARGETS]):
        forest = _forest(source, document, k) if k < _MOST_FORESTS else None
        blocks = [
            *(Paragraph(note) for note in _reading(source, document)),
            forest,
            _fit_table(document),
            *_table(source, document, most),
        ]
        yield section(f"Coefficients for {shorten(document.target)}", blocks)
    if len(documents) > _MOST_TARGETS:
        more = len(documents) - _MOST_TARGETS
        note = f"The coefficients of {more:,} targets more: {_command(source)}"
        yield section("Further targets", [Paragraph(note)])


def _module_section(source: Source) -> Section | None:
    """Return what stands in for coefficients where a module of the user's own was trained."""
    text = (
        "A module of your own was trained in place of the linear model. It has no coefficients, standard "
        "errors or leverage; how it does is in the residuals, by feature and by level."
    )
    lines = source.model.summary().tables[0].rows[:4]
    table = Table("The module", ("what", "which"), tuple((str(a), str(b)) for a, b in lines), frozenset({1}))
    return section("The module", [Paragraph(text), table])


def _reading(source: Source, document: TargetDescription) -> Iterator[str]:
    has_tests = any(row.std_err is not None for row in document.coefficients)
    text = (
        f"A coefficient is the change of {shorten(document.target)}, in its units, when the feature rises "
        "by one unit of its own and the others stay."
    )
    bases = [
        f"{shorten(column.name)} with {shorten(column.base)}"
        for column in source.model.encoding.columns
        if column.base is not None
    ]
    if bases:
        text += f" The levels of a categorical column are compared with its first level: {some(bases)}."
    if has_tests:
        text += " CI low and CI high bound the 95 % confidence interval."
    yield text
    yield from inference_notes(document, has_tests=has_tests)
    coefs = [row.coef for row in document.coefficients]
    if zeros := sum(coef == 0.0 for coef in coefs):
        yield f"{zeros:,} of {len(coefs):,} coefficients are exactly zero."


def _table(source: Source, document: TargetDescription, most: int) -> list[Block]:
    rows = list(document.coefficients)
    order = ""
    if len(rows) > most:
        by_t = any(row.t is not None for row in rows)
        size = [abs(row.t or 0.0) for row in rows] if by_t else np.abs(effects_of(source, rows)[0]).tolist()
        largest = sorted(range(len(rows)), key=lambda i: (-size[i], i))[:most]
        rows = [rows[i] for i in largest]
        order = ", the largest |t| first" if by_t else ", the largest change per standard deviation first"
    left_out = len(document.coefficients) - len(rows)
    if source.model.details.fit_intercept:
        rows.insert(0, intercept_row(document))
    shown = [
        key
        for key in COEFFICIENT_COLUMNS
        if key == "coef" or any(getattr(row, key) is not None for row in rows)
    ]
    cells = [
        align_decimals([COEFFICIENT_COLUMNS[key][1](getattr(row, key)) for row in rows]) for key in shown
    ]
    blocks: list[Block] = [
        Table(
            f"Coefficients{order}",
            ("feature", *(COEFFICIENT_COLUMNS[key][0] for key in shown)),
            tuple(zip((shorten(row.feature) for row in rows), *cells, strict=True)),
        )
    ]
    if left_out:
        blocks.append(Paragraph(f"{left_out:,} more coefficients are left out here: {_command(source)}"))
    return blocks


def _command(source: Source) -> str:
    return f"linreg-dist show {without_options(source.folder)} prints all of them."


def effects_of(source: Source, rows: Sequence[Coefficient]) -> tuple[np.ndarray[Any, Any], bool]:
    """Return coefficients on a scale that allows to compare them, and whether that is per standard deviation.

    Levels of categorical columns have one scale already, and so has a feature that is alone.
    """
    coef_D = np.array([row.coef for row in rows], dtype=np.float64)
    columns = source.model.encoding.columns
    scaling = source.model.details.scaling
    alike = len(rows) == 1 or all(column.base is not None for column in columns)
    if alike or scaling is None:
        return coef_D, False
    return coef_D * np.asarray(scaling.x_std, dtype=np.float64), True


def _forest(source: Source, document: TargetDescription, k: int) -> Figure | None:
    rows = document.coefficients
    if not rows:
        return None
    value_D, per_std = effects_of(source, rows)
    scaling = source.model.details.scaling
    scale = np.asarray(scaling.x_std, dtype=np.float64) if scaling and per_std else np.ones(len(rows))
    largest = sorted(
        np.flatnonzero(np.isfinite(value_D) & (value_D != 0)), key=lambda i: (-abs(value_D[i]), i)
    )
    effects = []
    for i in largest[:_MOST_EFFECTS]:
        low, high = rows[i].ci_low, rows[i].ci_high
        if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
            bounds: tuple[float, float] | tuple[None, None] = None, None
        else:
            bounds = float(low * scale[i]), float(high * scale[i])
        effects.append(Effect(shorten(rows[i].feature), float(value_D[i]), *bounds))
    if not effects:
        return None
    reach = _reach(effects)
    target = shorten(document.target)
    change = "by one standard deviation" if per_std else "by one unit"
    if not per_std and len(rows) > 1:
        change = "from the base level to this one"
    which = f"The {len(effects)} largest of {len(largest)}" if len(largest) > len(effects) else "All"
    bars = "; the bars are 95 % confidence intervals" if any(e.low is not None for e in effects) else ""
    caption = (
        f"{which} effects that are not zero: the change of {target}, in its units, when the feature changes "
        f"{change} and the others stay{bars}."
    )
    if reach is not None:
        caption += " An arrow stands for an effect beyond the scale."
    told = "; ".join(f"{effect.label} {_effect_text(effect)}" for effect in effects[:5])
    return Figure(
        f"effects-{k}",
        Forest(tuple(effects), f"change of {shorten(document.target, 20)}", reach),
        caption,
        f"Forest plot of {len(effects)} effects, the largest first: {told}.",
    )


def _reach(effects: Sequence[Effect]) -> float | None:
    """Return where the scale ends so that few large effects do not hide the others; None if none would."""
    sizes = sorted(max(abs(e.value), abs(e.low or 0.0), abs(e.high or 0.0)) for e in effects)
    within = [size for size in sizes if size <= _FAR * sizes[len(sizes) // 2]]
    beyond = len(sizes) - len(within)
    return 1.15 * within[-1] if 0 < 3 * beyond <= len(sizes) else None


def _effect_text(effect: Effect) -> str:
    text = format_number(effect.value, 4)
    if effect.low is None:
        return text
    return f"{text} ({format_number(effect.low, 4)} to {format_number(effect.high, 4)})"


def _fit_table(document: TargetDescription) -> Table | None:
    facts = fit_facts(document.fit)
    if not facts:
        return None
    f_p = document.fit.f_p
    meanings = {**_MEANINGS}
    if f_p is not None:
        meanings["F"] += f"; p {format_p_value(f_p)}"
    names, texts = zip(*facts, strict=True)
    return Table(
        "Fit statistics",
        ("statistic", "value", "what it says"),
        tuple(zip(names, _aligned(texts), (meanings[name] for name in names), strict=True)),
        frozenset({2}),
    )


def _aligned(texts: Sequence[str]) -> list[str]:
    """Return numbers with their decimal points below each other; counts, which have none, end at the right
    of all.
    """
    decimals = iter(align_decimals([text for text in texts if "." in text]))
    cells = [next(decimals) if "." in text else text for text in texts]
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]
