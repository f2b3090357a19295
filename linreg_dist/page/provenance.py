"""Provenance on the page: time, workers, data, versions, the job."""

from __future__ import annotations

from linreg_dist.documents import DataDocument
from linreg_dist.page.source import Source, some, without_options
from linreg_dist.page.view import Listing, Paragraph, Section, Table, section
from linreg_dist.wording.numbers import format_count, format_duration, format_rate
from linreg_dist.wording.results import spans_of


def time_section(source: Source) -> Section | None:
    """Return how the time was spent, how fast rows went through, and on how many workers."""
    timing = source.timing
    rows = [*spans_of(timing), ("in all", format_duration(timing.total_s or 0.0))]
    workers = source.result.num_workers or 0
    where = (
        f"on {workers} Ray workers" if workers > 1 else "on one Ray worker" if workers else "in one process"
    )
    text = f"It ran {where}"
    if timing.rows_per_s:
        text += f", at {format_rate(timing.rows_per_s)}"
    if groups := source.result.worker_groups:
        text += f". Sizes of the groups of workers that were started: {', '.join(map(str, groups))}"
    return section(
        "Time", [Paragraph(f"{text}."), Table("Where the time went", ("part", "time"), tuple(rows))]
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
