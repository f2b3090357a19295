"""Provenance on the page: time, workers, data, versions, the job."""

from __future__ import annotations

from linreg_dist.documents import DataDocument
from linreg_dist.page.plots import Spans
from linreg_dist.page.source import Source, some, without_options
from linreg_dist.page.view import Figure, Listing, Paragraph, Section, Table, section
from linreg_dist.wording.numbers import (
    align_decimals,
    format_count,
    format_duration,
    format_number,
    format_rate,
)
from linreg_dist.wording.results import spans_of

_MOST_WORKERS = 32


def time_section(source: Source) -> Section | None:
    """Return how the time was spent, how fast rows went through, and on how many workers."""
    timing = source.timing
    rows = [*spans_of(timing)]
    rows += [
        (name, format_duration(seconds))
        for name, seconds in (
            ("residuals and features", timing.diagnostics_s),
            ("this page", timing.report_s),
        )
        if seconds
    ]
    rows.append(("in all", format_duration(timing.total_s or 0.0)))
    workers = source.result.num_workers or 0
    where = (
        f"on {workers} Ray workers" if workers > 1 else "on one Ray worker" if workers else "in one process"
    )
    text = f"It ran {where}"
    if timing.rows_per_s:
        text += f", at {format_rate(timing.rows_per_s)}"
    if groups := source.result.worker_groups:
        text += f". Sizes of the groups of workers that were started: {', '.join(map(str, groups))}"
    parts = Table("Where the time went", ("part", "time"), tuple(rows))
    return section("Time", [Paragraph(f"{text}."), parts, _workers_figure(source)])


def _workers_figure(source: Source) -> Figure | None:
    """Return how each worker spent its time, which shows where one holds up the others."""
    found = source.result.workers[:_MOST_WORKERS]
    if not found:
        return None
    spent = [(max(each.seconds - each.waiting_s, 0.0), each.waiting_s) for each in found]
    table = Table(
        "Time of each worker",
        ("worker", "row groups", "MB read", "seconds", "waiting"),
        tuple(
            zip(
                (str(each.rank) for each in found),
                align_decimals([format_count(each.row_groups) for each in found]),
                align_decimals([format_number(each.bytes_read / 1e6, 3) for each in found]),
                align_decimals([f"{each.seconds:.2f}" for each in found]),
                align_decimals([f"{each.waiting_s:.2f}" for each in found]),
                strict=True,
            )
        ),
    )
    left_out = len(source.result.workers) - len(found)
    busiest = max(range(len(found)), key=lambda number: spent[number][0])
    return Figure(
        "workers",
        Spans(
            tuple((f"worker {each.rank}", each_spent) for each, each_spent in zip(found, spent, strict=True)),
            ("reading and arithmetic", "waiting and exchanging"),
            "seconds",
        ),
        "Time of each worker. One that works while the others wait has more, or slower, row groups."
        + (f" {left_out:,} more workers are in result.json." if left_out else ""),
        f"Time of {len(found)} workers: worker {found[busiest].rank} worked longest, "
        f"{format_duration(spent[busiest][0])}.",
        table,
    )


def origin_section(source: Source) -> Section | None:
    """Return the data's place and fingerprint, the model's, and the versions."""
    data = source.model.details.data or DataDocument()
    facts = [
        ("data", some([without_options(path) for path in data.path or ()])),
        *(
            (_named("table", table.role), f"{without_options(table.path)}: {table.text}")
            for table in data.tables
        ),
        ("files", format_count(data.files)),
        ("rows", format_count(source.rows.num_read)),
        ("fingerprint", data.digest or "unknown"),
        ("run", without_options(source.folder)),
        (
            "versions",
            ", ".join(f"{name} {number}" for name, number in (source.result.versions or {}).items()),
        ),
    ]
    note = (
        "The fingerprint covers the footer of every file: it changes when a file is added, removed, renamed "
        "or rewritten."
    )
    table = Table("Data, run and versions", ("what", "which"), tuple(facts), frozenset({1}))
    return section("Where it comes from", [table, Paragraph(note)])


def _named(what: str, role: str) -> str:
    return what if role == "train" else f"{what} for {role}"


def job_section(source: Source) -> Section | None:
    """Return the job as it ran."""
    text = "job.yaml in the run's folder, with every default; what it says of the cluster is left out here."
    listing = Listing("The job as it ran", without_options(source.spec_yaml))
    return section("The job", [Paragraph(text), listing])
