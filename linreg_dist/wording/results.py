"""The names and formats of what a result and a model hold, and the notes that qualify it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeVar

from linreg_dist.documents import (
    Coefficient,
    CoefficientInference,
    Document,
    Fit,
    Metrics,
    SolverDocument,
    TargetDescription,
    Timing,
)
from linreg_dist.wording.names import intercept_name
from linreg_dist.wording.numbers import (
    NO_VALUE,
    format_count,
    format_duration,
    format_number,
    format_p_value,
)
from linreg_dist.wording.text import safe_document, safe_name

_Document = TypeVar("_Document", bound=Document)

METRICS = {"mse": "MSE", "rmse": "RMSE", "mae": "MAE", "r2": "R²"}
INTERVAL = ("ci_low", "ci_high")
# Six digits of a coefficient and four of what only qualifies it fit into 80 characters; --json has them all.
COEFFICIENT_COLUMNS: dict[str, tuple[str, Callable[[float | None], str]]] = {
    "coef": ("coef", format_number),
    "std_err": ("std err", partial(format_number, num_digits=4)),
    "t": ("t", lambda value: NO_VALUE if value is None else format(value, ".2f")),
    "p": ("p", format_p_value),
    "ci_low": ("CI low", partial(format_number, num_digits=4)),
    "ci_high": ("CI high", partial(format_number, num_digits=4)),
}
FIT = {
    "n": ("rows", format_count),
    "df_resid": ("residual df", format_count),
    "r2": ("R²", format_number),
    "adj_r2": ("adjusted R²", format_number),
    "sigma": ("sigma", format_number),
    "f": ("F", format_number),
    "aic": ("AIC", format_number),
    "bic": ("BIC", format_number),
    "condition_number": ("condition number", format_number),
}
_ROBUST_NAMES = {
    **{kind: f"robust to unequal variances ({kind})" for kind in ("HC0", "HC1", "HC2", "HC3")},
    "cluster": "robust to correlation within clusters",
}


def shown_document(document: _Document) -> _Document:
    """Return a document for a table: every text in it, keys among them, is one line and safe to show."""
    return type(document).from_json(safe_document(document.to_json()))


def metric_values(metrics: Metrics) -> list[float | None]:
    """Return the metrics in the order of `METRICS`."""
    return [metrics.mse, metrics.rmse, metrics.mae, metrics.r2]


def intercept_row(document: TargetDescription) -> Coefficient:
    """Return the intercept of a target in the form of its coefficients."""
    known = {key: getattr(document.intercept_inference, key) for key in CoefficientInference.model_fields}
    name = intercept_name([row.feature for row in document.coefficients])
    return Coefficient(feature=name, coef=document.intercept, **known)


def fit_facts(fit: Fit) -> list[tuple[str, str]]:
    """Return the names and texts of the fit statistics that exist."""
    values = {key: getattr(fit, key) for key in FIT}
    return [(title, text_of(values[key])) for key, (title, text_of) in FIT.items() if values[key] is not None]


def inference_notes(document: TargetDescription, *, has_tests: bool) -> list[str]:
    """Return the sentences that qualify coefficients."""
    notes = []
    covariance = document.covariance
    if not has_tests:
        reason = document.inference_reason or "the model holds none"
        notes.append(f"No standard errors, t, p or confidence intervals: {reason}.")
    elif covariance not in (None, "nonrobust"):
        notes.append(f"Standard errors, tests, intervals and F are {_ROBUST_NAMES[covariance]}.")
    if document.accuracy:
        notes.append(f"Solved from sums alone, the coefficients may lack digits: {document.accuracy}.")
    return notes


def solver_text(solver: SolverDocument) -> str:
    """Return a solver's name with the reason for it."""
    return f"{solver.name} ({solver.reason})" if solver.reason else solver.name


def spans_of(timing: Timing) -> Iterator[tuple[str, str]]:
    """Yield the parts of a run's time with their names."""
    spans = (("start-up", timing.startup_s), ("training", timing.train_s), ("teardown", timing.teardown_s))
    for title, seconds in spans:
        if seconds is not None:
            yield title, format_duration(seconds)


def listed(names: Mapping[str, Any] | list[str] | tuple[str, ...]) -> str:
    """Return names with commas; of a mapping to further names ``a (with b, c); d (with e)``."""
    if isinstance(names, Mapping):
        return "; ".join(f"{safe_name(name)} (with {listed(list(others))})" for name, others in names.items())
    return ", ".join(map(safe_name, names))
