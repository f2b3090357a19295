"""The table that says how the jobs of a batch ended."""

from __future__ import annotations

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from linreg_dist.documents import BatchDocument, JobDocument, Metrics
from linreg_dist.wording.numbers import align_decimals, format_count, format_duration, format_number
from linreg_dist.wording.text import safe_name, safe_text

_STYLES = {"succeeded": "green", "failed": "red"}


def batch_table(document: BatchDocument) -> RenderableType:
    """Return a line per job, with the metrics of its validation rows or, without those, its training rows.

    Errors stand below the table in full.
    """
    jobs = document.jobs
    measured = [_metrics(job) for job in jobs]
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for heading in ("job", "status"):
        table.add_column(heading, overflow="fold")
    for heading in ("rows", "rmse", "R²", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    columns = [
        align_decimals([format_number(getattr(metrics, key, None)) for metrics in measured])
        for key in ("rmse", "r2")
    ]
    for job, rmse, r2 in zip(jobs, *columns, strict=True):
        rows = job.result.rows.train if job.result and job.result.rows else None
        seconds = format_duration(job.seconds) if job.ran else "before"
        table.add_row(
            safe_name(job.name),
            Text(job.status, _STYLES.get(job.status, "")),
            format_count(rows),
            rmse,
            r2,
            seconds,
        )
    counts = ", ".join(f"{count} {status}" for status, count in document.counts.items())
    parts: list[RenderableType] = [table, Text(""), Text(f"{len(jobs)} jobs: {counts}")]
    errors = [(job.name, job.result.error) for job in jobs if job.result]
    return Group(*parts, *(Text(safe_text(f"{name}: {error.message}")) for name, error in errors if error))


def _metrics(job: JobDocument) -> Metrics | None:
    metrics = job.result.metrics if job.result else None
    return (metrics.validation or metrics.train) if metrics else None
