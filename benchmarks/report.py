"""Write results down: JSON with everything, CSV and a plot of the medians, Markdown to read."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date
from pathlib import Path
from typing import Any

from benchmarks.contenders import CONTENDERS
from benchmarks.isolate import Record
from benchmarks.machine import describe_machine, machine_slug
from benchmarks.summary import Row, Verdict, judge, summarise

RESULTS = Path(__file__).parent / "results"

_HEADINGS = (
    "contender",
    "start-up s",
    "train s",
    "teardown s",
    "first pass Mrow/s",
    "later Mrow/s",
    "first of floor",
    "MSE",
    "gap",
    "digits",
    "peak MB",
    "spread",
)


def write_report(records: Sequence[Record], folder: Path = RESULTS, *, day: date | None = None) -> list[Path]:
    """Write ``<date>_<machine>.json``, ``.csv``, ``.png`` and ``.md``; return their paths."""
    from benchmarks.plot import plot_rows

    machine = describe_machine()
    rows = summarise(records)
    verdicts = judge(rows)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{(day or date.today()).isoformat()}_{machine_slug(machine)}"
    paths = [folder / f"{stem}{suffix}" for suffix in (".json", ".csv", ".png", ".md")]
    document = {
        "machine": machine,
        "medians": [asdict(row) for row in rows],
        "targets": [_verdict_document(verdict) for verdict in verdicts],
        "runs": [asdict(record) for record in records],
    }
    paths[0].write_text(json.dumps(document, indent=1) + "\n")
    with paths[1].open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)
    plot_rows(rows, machine, paths[2])
    paths[3].write_text(render_markdown(rows, verdicts, machine, records, plot=paths[2].name))
    return paths


def render_markdown(
    rows: Sequence[Row],
    verdicts: Sequence[Verdict],
    machine: dict[str, Any],
    records: Sequence[Record],
    *,
    plot: str | None = None,
) -> str:
    """Return the report: machine, promises, a table per problem, the contenders, the resolved specs."""
    versions = ", ".join(f"{name} {found}" for name, found in machine["versions"].items() if found)
    rounds = max((row.rounds for row in rows), default=0)
    lines = [
        "# Benchmark results",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gb']:g} GB, {machine['system']}, "
        f"Python {machine['python']}; {versions}.",
        "",
        f"Medians of {rounds} interleaved round(s), each run in its own process, files in the page cache.",
        "Mrow/s of the first pass include reading. `gap` is the mean squared error over all rows less that",
        "of the exact least-squares solution; `digits` are those of all coefficients that agree with a",
        "float64 QR of the rows.",
        "",
    ]
    if plot:
        lines += [f"![rows a second]({plot})", ""]
    lines += [*_targets_table(verdicts), ""]
    for problem in dict.fromkeys(row.problem for row in rows):
        lines += [*_problem_table([row for row in rows if row.problem == problem]), ""]
    lines += ["## Contenders", ""]
    for name in dict.fromkeys(row.contender for row in rows):
        lines.append(f"- `{name}`: {CONTENDERS[name].about}")
    lines += ["", *_resolved_specs(records)]
    return "\n".join(lines).rstrip() + "\n"


def _targets_table(verdicts: Sequence[Verdict]) -> list[str]:
    lines = ["## Promises", ""]
    if any(not verdict.full_size for verdict in verdicts):
        lines += ["The promises are about full size; this run was smaller, so none is judged.", ""]
    lines += ["| | problem | promised | measured | met | loss not higher |", "|---|---|---:|---:|---|---|"]
    for verdict in verdicts:
        lower = {None: "", True: "yes", False: "**no**"}[verdict.gap_not_higher]
        met = {None: "", True: "yes", False: "**no**"}[verdict.met]
        cells = (verdict.target.text, verdict.problem, verdict.wanted, verdict.got, met, lower)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _problem_table(rows: Sequence[Row]) -> list[str]:
    one = rows[0]
    lines = [
        f"## {one.problem}: {one.num_rows:,} rows x {one.num_features} features",
        "",
        f"| {' | '.join(_HEADINGS)} |",
        f"|---|{'---:|' * (len(_HEADINGS) - 1)}",
    ]
    notes = []
    for row in rows:
        if row.status != "ok":
            lines.append(f"| {row.contender} | {row.status} |" + " |" * (len(_HEADINGS) - 2))
            notes.append(f"- `{row.contender}` {row.status}: {row.reason}")
            continue
        if row.note:
            notes.append(f"- `{row.contender}`: {row.note}")
        cells = [
            f"{row.contender}{' *' if row.note else ''}",
            _fixed(row.startup_s, 2),
            _fixed(row.train_s, 2),
            _fixed(row.teardown_s, 2),
            _mega(row.first_rows_per_s),
            _mega(row.later_rows_per_s),
            _fixed(row.of_floor, 2),
            "" if row.mse is None else f"{row.mse:.6g}",
            "" if row.gap is None else f"{row.gap:.1e}",
            _fixed(row.digits, 1),
            _fixed(row.peak_rss_mb, 0),
            "" if row.spread is None else f"{row.spread:.0%}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", *notes] if notes else lines


def _resolved_specs(records: Sequence[Record]) -> list[str]:
    lines: list[str] = []
    seen: set[str] = set()
    for record in records:
        spec = record.extra.get("resolved_spec")
        if spec is None or record.contender in seen:
            continue
        seen.add(record.contender)
        lines += [
            f"<details><summary>Resolved spec of {record.contender} ({record.problem})</summary>",
            "",
            "```yaml",
            str(spec).rstrip(),
            "```",
            "",
            "</details>",
            "",
        ]
    return ["## Resolved specs", "", *lines] if lines else []


def _verdict_document(verdict: Verdict) -> dict[str, Any]:
    return {
        "target": verdict.target.text,
        "problem": verdict.problem,
        "promised": verdict.wanted,
        "measured": verdict.reached,
        "met": verdict.met,
        "loss_not_higher": verdict.gap_not_higher,
    }


def _fixed(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _mega(value: float | None) -> str:
    return "" if value is None else f"{value / 1e6:.3g}"
