"""The names and formats of what a result and a model hold, and the notes that qualify it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from linreg_dist.wording.numbers import (
    NO_VALUE,
    format_count,
    format_duration,
    format_number,
    format_p_value,
)
from linreg_dist.wording.text import safe_name

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
_SPANS = {"startup_s": "start-up", "train_s": "training", "teardown_s": "teardown"}


def fit_facts(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the names and texts of the fit statistics that the document of ``show --json`` has."""
    fit = document.get("fit") or {}
    return [(title, text_of(fit[key])) for key, (title, text_of) in FIT.items() if fit.get(key) is not None]


def inference_notes(document: Mapping[str, Any], *, has_tests: bool) -> list[str]:
    """Return the sentences that qualify coefficients, from the document of ``show --json``."""
    notes = []
    covariance = document.get("covariance")
    if not has_tests:
        reason = document.get("inference_reason") or "the model holds none"
        notes.append(f"No standard errors, t, p or confidence intervals: {reason}.")
    elif covariance not in (None, "nonrobust"):
        notes.append(f"Standard errors, tests, intervals and F are {_ROBUST_NAMES[covariance]}.")
    if accuracy := document.get("accuracy"):
        notes.append(f"Solved from sums alone, the coefficients may lack digits: {accuracy}.")
    return notes


def solver_text(solver: Mapping[str, Any]) -> str:
    """Return a solver's name with the reason for it."""
    return f"{solver['name']} ({solver['reason']})" if solver.get("reason") else str(solver["name"])


def spans_of(timing: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the parts of a run's time with their names."""
    for key, title in _SPANS.items():
        if timing.get(key) is not None:
            yield title, format_duration(timing[key])


def listed(names: Mapping[str, Any] | list[str] | tuple[str, ...]) -> str:
    """Return names with commas; of a mapping to further names ``a (with b, c); d (with e)``."""
    if isinstance(names, Mapping):
        return "; ".join(f"{safe_name(name)} (with {listed(list(others))})" for name, others in names.items())
    return ", ".join(map(safe_name, names))
