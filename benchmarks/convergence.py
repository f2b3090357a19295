"""Loss against wall time: what rarer synchronisation or larger batches save in time and cost in progress.

Rows a second alone would reward never talking at all. So every setting trains the same correlated problem for
the same number of passes, and what counts is the gap to the optimum after each second.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.contender import Grid
from benchmarks.contenders import CONTENDERS
from benchmarks.isolate import Record, run_isolated
from benchmarks.machine import describe_machine
from benchmarks.problems import DATA_ROOT, PROBLEMS, materialise

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Setting:
    """One way to train; None leaves the batch to ``auto``."""

    sync_every: int
    global_batch_size: int | None
    solver: str = "sgd"

    @property
    def label(self) -> str:
        """How tables and the legend call it."""
        batch = "auto" if self.global_batch_size is None else f"{self.global_batch_size:,}"
        return f"{self.solver}, sync_every {self.sync_every}, batch {batch}"

    @property
    def overrides(self) -> dict[str, Any]:
        """The options of the job spec."""
        batch = "auto" if self.global_batch_size is None else self.global_batch_size
        return {
            "solver.name": self.solver,
            "solver.schedule": "constant",
            "solver.sync_every": self.sync_every,
            "solver.global_batch_size": batch,
        }


SETTINGS = (
    *(
        Setting(sync_every, batch)
        for batch, sync_every in itertools.product((2_048, 16_384, 131_072), (1, 4, 16))
    ),
    Setting(1, None),
    Setting(1, None, "adam"),
)


@dataclass(frozen=True)
class Curve:
    """A setting's run: seconds since training began, and the training loss seen, at the end of each pass."""

    setting: Setting
    seconds: list[float]
    losses: list[float]
    final_gap: float


def measure_and_write(
    rows: int,
    epochs: int,
    *,
    settings: Sequence[Setting] = SETTINGS,
    contender: str = "ours_ray_2",
    folder: Path = _FOLDER,
    root: Path = DATA_ROOT,
    say: Callable[[str], None] = print,
) -> list[Path]:
    """Train every setting once; write ``convergence.json``, ``.png`` and ``.md``; return their paths.

    Raises:
        RuntimeError: a run failed.
    """
    base = PROBLEMS["C32"]
    dataset = materialise(base.scaled(rows / base.num_rows), root)
    grid = Grid("convergence", problems=(), contenders=(), epochs=epochs)
    curves = []
    for setting in settings:
        record = run_isolated(CONTENDERS[contender], dataset, replace(grid, overrides=setting.overrides))
        curves.append(as_curve(setting, record))
        say(f"{setting.label}: {curves[-1].seconds[-1]:.2f} s, gap {curves[-1].final_gap:.2e}")
    machine = describe_machine()
    paths = [folder / f"convergence{suffix}" for suffix in (".json", ".png", ".md")]
    document = {
        "machine": machine,
        "problem": asdict(dataset.problem),
        "optimum": dataset.optimum[1],
        "curves": [asdict(curve) for curve in curves],
    }
    paths[0].write_text(json.dumps(document, indent=1) + "\n")
    _draw(curves, dataset.optimum[1], paths[1])
    paths[2].write_text(render(curves, dataset.optimum[1], dataset.problem.num_rows, machine, contender))
    return paths


def as_curve(setting: Setting, record: Record) -> Curve:
    """Read the curve from a record.

    Raises:
        RuntimeError: the run failed.
    """
    if record.status != "ok" or record.gap is None:
        raise RuntimeError(f"{setting.label} could not be measured: {record.reason}")
    seconds = list(itertools.accumulate(seconds for _, seconds in record.passes))
    return Curve(setting, seconds, list(record.extra["losses"]), record.gap)


def render(
    curves: Sequence[Curve], optimum: float, rows: int, machine: dict[str, Any], contender: str
) -> str:
    """Return convergence.md."""
    lines = [
        "# Loss against wall time",
        "",
        f"{CONTENDERS[contender].about}; {machine['cpu']}, {machine['cores']} cores. Problem C32:",
        f"{rows:,} rows, 32 features, neighbours correlated 0.9; optimum {optimum:.6g}.",
        "Written by `python -m benchmarks convergence`.",
        "",
        "`gap` is the mean squared error over all rows less the optimum. The loss of a pass is the mean over",
        "its steps, so it lags behind the model that the pass ends with.",
        "",
        "| setting | s to the end of pass 1 | s in all | loss of pass 1 | loss of the last | final gap |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for curve in sorted(curves, key=lambda curve: curve.final_gap):
        cells = (
            curve.setting.label,
            f"{curve.seconds[0]:.2f}",
            f"{curve.seconds[-1]:.2f}",
            f"{curve.losses[0]:.6g}",
            f"{curve.losses[-1]:.6g}",
            f"{curve.final_gap:.2e}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "![loss against wall time](convergence.png)",
        "",
        "How to choose: `sync_every: 1` gives the same answer on any number of workers and is right whenever",
        "a step takes longer than the all-reduce. `sync_every: k` is for small batches on a slow network;",
        "the workers drift apart between averages, and where their data differ that drift is a bias which a",
        "constant learning rate does not remove.",
    ]
    return "\n".join(lines) + "\n"


def _draw(curves: Sequence[Curve], optimum: float, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(8, 6), layout="constrained")
    for curve in curves:
        excess = [max(loss - optimum, 1e-12) for loss in curve.losses]
        axis.plot(curve.seconds, excess, marker=".", label=curve.setting.label)
    axis.set(yscale="log", xlabel="seconds since training began", ylabel="loss of the pass less the optimum")
    axis.legend(fontsize="small")
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
