"""The summary of a model for Python and notebooks: coefficients, inference, fit, and how it was made.

Shape suffixes: Q coefficients, the intercept first if one was fitted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from linreg_dist.documents import ModelDescription, TargetDescription, TargetInference
from linreg_dist.errors import SpecError
from linreg_dist.model.describe import describe
from linreg_dist.wording.done import aliased_lines, fit_lines
from linreg_dist.wording.names import intercept_name
from linreg_dist.wording.numbers import format_count
from linreg_dist.wording.results import (
    COEFFICIENT_COLUMNS,
    fit_facts,
    inference_notes,
    intercept_row,
)
from linreg_dist.wording.summary import Summary, SummaryTable
from linreg_dist.wording.text import safe_name

if TYPE_CHECKING:
    from linreg_dist.model.linear_model import LinearModel

_MOST_COEFFICIENTS = 60


def summarise(model: LinearModel) -> Summary:
    """Return the summary of a model, a table of coefficients for each target."""
    description = describe(model)
    tables: list[SummaryTable] = []
    for each in description.each_target:
        tables += _of_target(each)
    tables.append(SummaryTable((), tuple(_provenance(description)), "how it was made"))
    return Summary(f"Linear regression of {', '.join(model.targets)}", tuple(tables))


def short_repr(model: LinearModel) -> str:
    """Return one line: targets, number of coefficients, and how well they fit."""
    columns = model.encoding.num_encoded
    metrics = model.details.metrics
    train = metrics.train if metrics else None
    fit = "" if train is None or train.r2 is None else f", R² {train.r2:.4f}"
    plural = "" if columns == 1 else "s"
    targets = ", ".join(map(safe_name, model.targets))
    return f"<LinearModel of {targets}: {format_count(columns)} coefficient{plural}{fit}>"


def intervals(model: LinearModel, level: float, target: str | None) -> npt.NDArray[np.float64]:
    """Return the confidence intervals of a target's coefficients, (Q, 2).

    coef ± q · std err, with q the (1 + level) / 2 quantile of Student's t with the residual degrees of
    freedom, or of the normal distribution where the standard errors are robust to clusters or the like.

    Raises:
        SpecError: there are no standard errors, there is no such target, or ``level`` is no probability.

    """
    from scipy import special

    if not 0.0 < level < 1.0:
        raise SpecError(f"level is {level!r}; expected a probability between 0 and 1, such as 0.95")
    names = model.targets
    name = names[0] if target is None else target
    if name not in names:
        raise SpecError(f"there is no target {name!r}; expected one of {', '.join(names)}")
    inference = model.details.inference
    if inference is None or inference.reason is not None or not inference.targets:
        reason = inference.reason if inference else None
        why = reason or "standard errors need the exact solver"
        raise SpecError(f"the coefficients of this model have no confidence intervals: {why}")
    tests = inference.targets.get(name, TargetInference()).tests
    k = names.index(name)
    coef_by_name = dict(zip(model.encoding.names, model.coef_KD[k], strict=True))
    coef_by_name[intercept_name(model.encoding.names)] = model.intercept_K[k]
    share = (1.0 + level) / 2.0
    quantile = special.ndtri(share) if inference.df is None else special.stdtrit(inference.df, share)
    half_Q = np.array([_std_err(tests.get(each)) for each in model.cov_names]) * float(quantile)
    coef_Q = np.array([coef_by_name[each] for each in model.cov_names])
    return np.column_stack([coef_Q - half_Q, coef_Q + half_Q])


def _std_err(test: object) -> float:
    value = getattr(test, "std_err", None)
    return float("nan") if value is None else float(value)


def _of_target(each: TargetDescription) -> list[SummaryTable]:
    has_tests = any(row.std_err is not None for row in each.coefficients) or each.inference_reason is None
    columns = COEFFICIENT_COLUMNS if has_tests else {"coef": COEFFICIENT_COLUMNS["coef"]}
    rows = [intercept_row(each), *each.coefficients]
    cells = [
        (row.feature, *(text_of(getattr(row, key)) for key, (_, text_of) in columns.items()))
        for row in rows[:_MOST_COEFFICIENTS]
    ]
    if len(rows) > len(cells):
        cells.append((f"… and {format_count(len(rows) - len(cells))} more", *("" for _ in columns)))
    titles = ("feature", *(title for title, _ in columns.values()))
    tables = [SummaryTable(titles, tuple(cells), f"target {each.target}")]
    if facts := fit_facts(each.fit):
        tables.append(SummaryTable((), tuple(facts)))
    if notes := inference_notes(each, has_tests=has_tests):
        tables.append(SummaryTable((), tuple(("note", note) for note in notes)))
    return tables


def _provenance(model: ModelDescription) -> list[tuple[str, str]]:
    lines = [("run", model.name)] if model.name else []
    return [*lines, *fit_lines(model), *aliased_lines(model.solver)]
