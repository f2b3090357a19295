"""`Run`: a finished run, as Python code gets it from `train`."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from linreg_dist.documents import ResultDocument
from linreg_dist.errors import SpecError
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.storage import Location, read_file
from linreg_dist.wording.done import (
    device_lines,
    left_out_lines,
    loss_lines,
    penalty_lines,
    steps_lines,
    time_lines,
)
from linreg_dist.wording.numbers import format_count, format_number
from linreg_dist.wording.results import METRICS, metric_values, solver_text
from linreg_dist.wording.summary import Summary, SummaryTable

_REPORT_BYTES = 256 << 20


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run.

    Attributes:
        path: its folder; an `ObjectPath` where ``run.storage_path`` is a URI.
        document: what result.json says.
        already_finished: whether the job had been run before and nothing was done now.
        kept_model, kept_report: the model and its page, where the folder goes away; see `detached`.

    """

    path: Location
    document: ResultDocument
    already_finished: bool = False
    kept_model: LinearModel | None = field(default=None, repr=False, compare=False)
    kept_report: str | None = field(default=None, repr=False, compare=False)

    @cached_property
    def result(self) -> dict[str, Any]:
        """The document in JSON types, as in result.json."""
        return self.document.to_json()

    @property
    def metrics(self) -> dict[str, Any]:
        """``{"train": {"mse", "rmse", "mae", "r2"}, "validation": {…} or None}``."""
        metrics: dict[str, Any] = self.result["metrics"]
        return metrics

    @cached_property
    def model(self) -> LinearModel:
        """The fitted model."""
        return self.kept_model or LinearModel.load(self.path / "model", allow_module=True)

    @property
    def report(self) -> RunReport:
        """The page of the run, which a notebook shows.

        Raises:
            SpecError: the run has none: the message says why.

        """
        if self.kept_report is not None:
            return RunReport(self.kept_report, None)
        place = self.path / "report.html"
        try:
            return RunReport(read_file(place, _REPORT_BYTES).decode(), place)
        except FileNotFoundError:
            why = self.document.report_reason or "outputs.report is false"
            raise SpecError(f"the run at {self.path} has no report: {why}") from None

    def summary(self) -> Summary:
        """Return metrics, what was done and how long it took: print it, or let a notebook show it."""
        result = self.document
        tables = [*_metrics(result), SummaryTable((), tuple(_lines(result)), "how it was made")]
        return Summary(f"{result.name}: {result.status}", tuple(tables))

    def __repr__(self) -> str:
        result = self.document
        metrics = result.metrics
        found = (metrics.validation or metrics.train) if metrics else None
        split = "validation" if metrics and metrics.validation else "train"
        fit = "" if found is None or found.r2 is None else f", {split} R² {found.r2:.4f}"
        return f"<Run {result.name}: {result.status}{fit}; {self.path}>"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    def detached(self) -> Run:
        """Return the run with its model and page in memory, for when its folder goes away."""
        try:
            page = self.report.html
        except (SpecError, OSError):
            page = None
        return replace(self, kept_model=self.model.detached(), kept_report=page)


@dataclass(frozen=True, repr=False)
class RunReport:
    """The page of a run.

    Attributes:
        html: the page.
        path: where it lies; None where the run's folder has gone.

    """

    html: str
    path: Location | None

    def save(self, path: str | Path) -> None:
        """Write the page to a file.

        Raises:
            OSError: it cannot be written.

        """
        Path(path).write_text(self.html, encoding="utf-8")

    def __repr__(self) -> str:
        return f"<RunReport {self.path or 'in memory; save(path) writes it'}>"

    def _repr_html_(self) -> str:
        # A document of its own, without scripts and without access to the notebook that shows it.
        page = html.escape(self.html, quote=True)
        return f'<iframe sandbox srcdoc="{page}" width="100%" height="600" title="report"></iframe>'


def _metrics(result: ResultDocument) -> Iterator[SummaryTable]:
    """Yield a table of metrics for each target."""
    metrics, rows = result.metrics, result.rows
    if metrics is None or metrics.train is None:
        return
    splits = [("train", metrics.train, rows.train if rows else None)]
    if metrics.validation is not None:
        splits.append(("validation", metrics.validation, rows.validation if rows else None))
    for target in metrics.train.per_target or {"": metrics.train}:
        columns = []
        for _, found, number in splits:
            each = (found.per_target or {}).get(target, found)
            columns.append([format_count(number), *map(format_number, metric_values(each))])
        cells = zip(["rows", *METRICS.values()], *columns, strict=True)
        titles = ("", *(title for title, _, _ in splits))
        yield SummaryTable(titles, tuple(map(tuple, cells)), f"target {target}" if target else "")


def _lines(result: ResultDocument) -> Iterator[tuple[str, str]]:
    """Yield what the run did, and where it lies."""
    if result.solver:
        yield "solver", solver_text(result.solver)
        if result.solver.stopped:
            yield "stopped", result.solver.stopped
    train = result.metrics.train if result.metrics else None
    yield from device_lines(result.solver)
    yield from loss_lines(result.loss, result.solver, list((train.per_target if train else None) or ()))
    yield from penalty_lines(result.penalty, result.tune)
    yield from steps_lines(result.solver)
    yield from left_out_lines(result.rows, result.data, result.skipped_columns)
    yield from time_lines(result.timing)
    if result.model:
        yield "model", result.model
