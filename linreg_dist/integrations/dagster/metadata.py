"""Metadata of a trained model for Dagster: figures that it plots, the coefficients, where things are."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

import dagster as dg

from linreg_dist.documents import Metrics, ModelDetails, ResultDocument
from linreg_dist.errors import LinregDistError
from linreg_dist.jobspec import is_uri
from linreg_dist.storage import as_location, read_file
from linreg_dist.wording.text import safe_name

MEANS = "column_means"
ROWS_OF_COEFFICIENTS = 100
_SPECIAL = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]()#+!|~"})


def metadata_of(
    result: ResultDocument,
    shown: Mapping[str, Any] | None,
    means: Mapping[str, list[float]],
    job_url: str | None,
) -> dict[str, Any]:
    """Return the metadata of a materialization.

    Args:
        result: of the run.
        shown: what ``show --json`` says of the model; None where it cannot be read.
        means: of every encoded column, see `column_means`.
        job_url: the page of the job in Ray's dashboard.

    """
    found: dict[str, Any] = {}
    if result.metrics is not None:
        found |= _metrics("", result.metrics.train) | _metrics("validation_", result.metrics.validation)
    if result.rows is not None:
        found["rows"] = dg.MetadataValue.int(result.rows.train)
        found["rows_validation"] = dg.MetadataValue.int(result.rows.validation)
        found["rows_dropped"] = dg.MetadataValue.int(result.rows.num_dropped)
    if shown is not None:
        found["coefficients"] = dg.MetadataValue.md(coefficient_table(shown))
    for name, place in (("report", result.report), ("model", result.model)):
        if place is not None:
            found[name] = dg.MetadataValue.url(place) if is_uri(place) else dg.MetadataValue.path(place)
    if job_url is not None:
        found["job"] = dg.MetadataValue.url(job_url)
    if result.solver is not None:
        found["solver"] = ": ".join(text for text in (result.solver.name, result.solver.reason) if text)
    if result.timing is not None and result.timing.total_s is not None:
        found["seconds"] = dg.MetadataValue.float(result.timing.total_s)
    if result.timing is not None and result.timing.rows_per_s is not None:
        found["rows_per_s"] = dg.MetadataValue.float(result.timing.rows_per_s)
    if result.update is not None:
        found["added"] = f"{result.update.files:,} files, {result.update.rows:,} rows"
    if result.data is not None and result.data.files is not None:
        found["files"] = dg.MetadataValue.int(result.data.files)
    if means:
        found[MEANS] = dg.MetadataValue.json(dict(means))
    return found


def column_means(result: ResultDocument) -> dict[str, list[float]]:
    """Return mean and standard deviation of every encoded column, from the model's config.json; empty where
    it cannot be read.
    """
    if result.model is None:
        return {}
    try:
        document = json.loads(read_file(as_location(result.model) / "config.json"))
        details = ModelDetails.from_json(document)
    except (LinregDistError, OSError, ValueError):
        return {}
    names, scaling = document.get("feature_names"), details.scaling
    if scaling is None or not isinstance(names, list) or len(names) != len(scaling.x_mean):
        return {}
    return {
        str(name): [mean, std]
        for name, mean, std in zip(names, scaling.x_mean, scaling.x_std, strict=True)
        if mean is not None and std is not None
    }


def coefficient_table(shown: Mapping[str, Any]) -> str:
    """Return the coefficients of a model as Markdown, a table for each target."""
    targets = shown.get("targets") or [shown]
    tables = [_table(target) for target in targets]
    if len(targets) == 1:
        return tables[0]
    return "\n\n".join(
        f"**{_cell(target.get('target'))}**\n\n{table}" for target, table in zip(targets, tables, strict=True)
    )


def _table(target: Mapping[str, Any]) -> str:
    rows = list(target.get("coefficients", ()))
    lines = ["| feature | coefficient | std. error | t | p |", "|---|---:|---:|---:|---:|"]
    for row in rows[:ROWS_OF_COEFFICIENTS]:
        figures = " | ".join(_figure(row.get(key)) for key in ("coef", "std_err", "t", "p"))
        lines.append(f"| {_cell(row.get('feature'))} | {figures} |")
    lines.append(f"| intercept | {_figure(target.get('intercept'))} | | | |")
    if len(rows) > ROWS_OF_COEFFICIENTS:
        more = len(rows) - ROWS_OF_COEFFICIENTS
        lines += ["", f"and {more:,} more: `linreg-dist show` has them all"]
    return "\n".join(lines)


def _metrics(prefix: str, metrics: Metrics | None) -> dict[str, Any]:
    if metrics is None:
        return {}
    figures = {"r2": metrics.r2, "rmse": metrics.rmse, "mae": metrics.mae}
    return {
        f"{prefix}{name}": dg.MetadataValue.float(value)
        for name, value in figures.items()
        if value is not None
    }


def _figure(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, int | float) else ""


def _cell(name: Any) -> str:
    """Return a name of the data that no Markdown or HTML in it can leave its cell."""
    return html.escape(safe_name(str(name)), quote=False).translate(_SPECIAL)
