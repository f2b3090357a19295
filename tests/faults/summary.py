"""What a number of rounds showed, as a table."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from tests.faults.rounds import TIMEOUT_S, Record


def summarise(records: Sequence[Record]) -> str:
    """Return a table in Markdown: per fault the rounds, how they ended, and the median extra time."""
    kinds = sorted({(record.draw.workers, record.draw.fault) for record in records})
    lines = [
        "| fault | workers | rounds | hit | succeeded, same answer | same bits | median extra | longest |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for workers, fault in kinds:
        group = [record for record in records if (record.draw.workers, record.draw.fault) == (workers, fault)]
        hit = [record for record in group if record.hit and record.result == "ok"]
        extra = f"{median(record.extra_s for record in hit):.1f} s" if hit else "–"
        lines.append(
            f"| {fault} | {workers} | {len(group)} | {sum(record.hit for record in group)} "
            f"| {sum(record.result == 'ok' for record in group)} | {sum(bool(r.bit_equal) for r in group)} "
            f"| {extra} | {max(record.seconds for record in group):.1f} s |"
        )
    ages = [record.checkpoint_age_s for record in records if record.checkpoint_age_s is not None]
    failed = [record for record in records if record.result != "ok"]
    lines += [
        "",
        f"{len(records)} rounds, {len(records) - len(failed)} succeeded with the undisturbed run's answer "
        f"and rows; time-out of a round {TIMEOUT_S[0]:g} s without and {TIMEOUT_S[2]:g} s with a cluster.",
    ]
    if ages:
        lines.append(
            f"Age of the newest checkpoint at the fault: median {median(ages):.2f} s, most {max(ages):.2f} s."
        )
    lines += [
        f"- round {record.draw.number} of seed {record.draw.seed} ({record.draw.fault}, "
        f"{record.draw.solver}): {record.result}"
        for record in failed
    ]
    return "\n".join(lines)
