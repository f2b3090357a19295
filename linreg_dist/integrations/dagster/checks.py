"""Asset checks of a model: against the last run's, and that no row is lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from linreg_dist.documents import ResultDocument
from linreg_dist.integrations.dagster.metadata import MEANS
from linreg_dist.integrations.dagster.settings import Settings
from linreg_dist.wording.names import some_names

R2, MEAN, ROWS = "r2_not_lower", "column_means_stable", "rows_accounted_for"
DESCRIPTIONS = {
    R2: "R² is not below the last run's.",
    MEAN: "No column's mean has drifted since the last run.",
    ROWS: "Every row of the files was trained on, held out, or left out by a rule that says so.",
}
_SHOWN = 10


def check_specs(asset: dg.AssetKey) -> list[dg.AssetCheckSpec]:
    """Return the specs of all checks."""
    return [dg.AssetCheckSpec(name, asset=asset, description=text) for name, text in DESCRIPTIONS.items()]


def last_metadata(context: dg.AssetExecutionContext, asset: dg.AssetKey) -> Mapping[str, Any]:
    """Return the values of the last materialization's metadata; empty if there was none."""
    event = context.instance.get_latest_materialization_event(asset)
    materialization = None if event is None else event.asset_materialization
    if materialization is None:
        return {}
    return {name: value.value for name, value in materialization.metadata.items()}


def results(
    asset: dg.AssetKey,
    result: ResultDocument,
    means: Mapping[str, list[float]],
    last: Mapping[str, Any],
    settings: Settings,
) -> list[dg.AssetCheckResult]:
    """Return the results of all checks.

    Args:
        asset: the asset.
        result: of this run.
        means: mean and standard deviation of every column, now.
        last: metadata of the last materialization.
        settings: with the limits.

    """
    return [
        _of_r2(asset, result, last, settings.max_r2_drop),
        _of_means(asset, means, last, settings.max_mean_shift),
        _of_rows(asset, result),
    ]


def _of_r2(
    asset: dg.AssetKey, result: ResultDocument, last: Mapping[str, Any], most: float
) -> dg.AssetCheckResult:
    metrics = result.metrics
    splits = [] if metrics is None else [("validation_r2", metrics.validation), ("r2", metrics.train)]
    for name, split in splits:
        if split is None or split.r2 is None:
            continue
        before = last.get(name)
        if not isinstance(before, int | float):
            return _told(
                asset, R2, True, f"{name} is {split.r2:.4f}; there is no earlier run to compare with"
            )
        fine = split.r2 >= before - most
        text = f"{name} is {split.r2:.4f}, and was {before:.4f} (may fall by {most:g})"
        return _told(asset, R2, fine, text, {"now": split.r2, "last": float(before)})
    return _told(asset, R2, True, "R² is not known: the target is constant, or no metric was computed")


def _of_means(
    asset: dg.AssetKey, means: Mapping[str, list[float]], last: Mapping[str, Any], most: float
) -> dg.AssetCheckResult:
    before = last.get(MEANS)
    if not isinstance(before, Mapping) or not means:
        return _told(asset, MEAN, True, "there is no earlier run to compare with")
    shifts = {
        name: abs(mean - before[name][0]) / (before[name][1] or 1.0)
        for name, (mean, _) in means.items()
        if name in before
    }
    drifted = sorted((name for name in shifts if shifts[name] > most), key=lambda name: -shifts[name])
    text = f"no mean of {len(shifts)} columns moved by more than {most:g} standard deviations"
    if drifted:
        shown = [f"{name} ({shifts[name]:.2f})" for name in drifted]
        text = f"moved by more than {most:g} standard deviations: {some_names(shown, _SHOWN)}"
    return _told(asset, MEAN, not drifted, text, {"largest_shift": max(shifts.values(), default=0.0)})


def _of_rows(asset: dg.AssetKey, result: ResultDocument) -> dg.AssetCheckResult:
    rows, files = result.rows, None if result.data is None else result.data.rows
    if rows is None or files is None:
        return _told(asset, ROWS, True, "the result does not say how many rows the files have")
    left_out = ", ".join(f"{rule}: {number:,}" for rule, number in rows.dropped.items()) or "none"
    text = (
        f"{files:,} rows in the files = {rows.train:,} trained on + {rows.validation:,} held out + "
        f"{rows.num_dropped:,} left out ({left_out})"
    )
    fine = rows.num_read == files
    if not fine:
        text = text.replace(" = ", " ≠ ")
    severity = dg.AssetCheckSeverity.ERROR
    return _told(asset, ROWS, fine, text, {"files": files, "accounted_for": rows.num_read}, severity)


def _told(
    asset: dg.AssetKey,
    name: str,
    fine: bool,
    text: str,
    metadata: Mapping[str, Any] | None = None,
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN,
) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=asset,
        check_name=name,
        passed=fine,
        description=text,
        metadata=dict(metadata or {}),
        severity=severity,
    )
