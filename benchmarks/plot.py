"""The picture of a report: rows a second per contender, a panel per problem, the floor as a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.summary import FLOOR, Row

_FIRST, _LATER = "#4477aa", "#aaccee"


def plot_rows(rows: Sequence[Row], machine: dict[str, Any], path: Path) -> None:
    """Draw first and later passes of every contender that learnt something."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    problems = list(dict.fromkeys(row.problem for row in rows))
    figure, axes = pyplot.subplots(
        1, len(problems), figsize=(5.5 * len(problems), 5.0), squeeze=False, layout="constrained"
    )
    for axis, problem in zip(axes[0], problems, strict=True):
        mine = [row for row in rows if row.problem == problem and row.first_rows_per_s]
        for place, row in enumerate(reversed(mine)):
            axis.barh(place + 0.2, (row.first_rows_per_s or 0.0) / 1e6, height=0.4, color=_FIRST)
            if row.later_rows_per_s:
                axis.barh(place - 0.2, row.later_rows_per_s / 1e6, height=0.4, color=_LATER)
        axis.set_yticks(range(len(mine)), [row.contender for row in reversed(mine)])
        for row in mine:
            if row.contender == FLOOR and row.first_rows_per_s:
                axis.axvline(row.first_rows_per_s / 1e6, color="black", linewidth=0.8, linestyle="--")
        axis.set_xscale("log")
        axis.set_xlabel("million rows a second")
        size = f"{mine[0].num_rows:,} x {mine[0].num_features}" if mine else ""
        axis.set_title(f"{problem} ({size})")
    handles = [Patch(color=color) for color in (_FIRST, _LATER)]
    figure.legend(
        handles, ["first pass, reading included", "later passes"], loc="outside lower center", ncols=2
    )
    figure.suptitle(f"{machine['cpu']}, {machine['cores']} cores; dashed: bare scan")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
