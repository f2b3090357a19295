"""The text and picture of `scaling`: coefficients, predicted and measured, 10 TB on up to 1,000 workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.cost_model import TERMS, UNITS, CostModel, Measured, Work

_BYTES = 10e12
_FEATURES = 32
_WORKERS = (1, 2, 4, 10, 20, 50, 100, 200, 500, 1_000)
_FIXED_BATCH = 131_072
_BATCH_PER_WORKER = 65_536


def far_work(workers: int, *, reads: bool, steps: int | None = None, growing: bool = False) -> Work:
    """Return a pass over 10 TB: of ``steps``, or of a global batch that is fixed or grows with workers."""
    rows = int(_BYTES / (4 * (_FEATURES + 1)))
    batch = _BATCH_PER_WORKER * workers if growing else _FIXED_BATCH
    count = -(-rows // batch) if steps is None else steps
    return Work(rows, _FEATURES, workers, count, reads=reads, cores=workers)


def render(model: CostModel, measured: Sequence[Measured], machine: dict[str, Any], plot: str) -> str:
    """Return scaling.md."""
    lines = [
        "# How cost grows",
        "",
        f"Measured on {machine['cpu']}, {machine['cores']} cores, with Ray workers pinned to one core each.",
        "Written by `python -m benchmarks scaling`; benchmarks/cost_model.py explains the terms.",
        "",
        "## The model",
        "",
        "| term | coefficient | unit |",
        "|---|---:|---|",
    ]
    lines += [
        f"| {term} | {value:.3g} | {UNITS[term]} |"
        for term, value in zip(TERMS, model.coefficients, strict=True)
    ]
    lines += [
        "",
        "A coefficient of 0 means that the measurements do not tell this term from the others.",
        "",
        "## Predicted against measured",
        "",
        "| | measured s | predicted s | error | |",
        "|---|---:|---:|---:|---|",
    ]
    for point in measured:
        held = "" if point.fitted else _why_held(point)
        lines.append(
            f"| {point.label} | {point.seconds:.4g} | {model.seconds(point.work):.4g} | "
            f"{model.relative_error(point):+.0%} | {held} |"
        )
    lines += ["", *_far(model), "", f"![10 TB]({plot})"]
    return "\n".join(lines) + "\n"


def _why_held(point: Measured) -> str:
    return "more workers than cores: not fitted" if point.work.workers > point.work.cores else "**held back**"


def _far(model: CostModel) -> list[str]:
    lines = [
        "## Drawn to 1,000 workers and 10 TB",
        "",
        f"{far_work(1, reads=True).rows:,} rows of {_FEATURES} float32 features and a target, one core per",
        "worker, storage that feeds every worker as fast as the page cache does here. Latency and bandwidth",
        "are those of processes on one machine: over a network, take the coefficients of that network.",
        "These are predictions, not measurements.",
        "",
        "| workers | first pass | later pass | talking | later, batch grows | talking | one reduction |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for workers in _WORKERS:
        first, later = far_work(workers, reads=True), far_work(workers, reads=False)
        grown, once = far_work(workers, reads=False, growing=True), far_work(workers, reads=True, steps=1)
        cells = (
            f"{workers:,}",
            _duration(model.seconds(first)),
            _duration(model.seconds(later)),
            _share(model, later),
            _duration(model.seconds(grown)),
            _share(model, grown),
            _duration(model.seconds(once)),
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        f"The global batch is {_FIXED_BATCH:,} rows, or {_BATCH_PER_WORKER:,} rows per worker where it",
        "grows; the last column needs a single reduction (the exact solver). Talking: communication.",
    ]
    return lines


def draw(model: CostModel, measured: Sequence[Measured], path: Path) -> None:
    """Draw predicted against measured, and 10 TB over workers."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(12, 5), layout="constrained")
    for fitted, marker, label in ((True, "o", "fitted"), (False, "x", "held back or oversubscribed")):
        chosen = [point for point in measured if point.fitted is fitted]
        left.scatter(
            [point.seconds for point in chosen],
            [model.seconds(point.work) for point in chosen],
            marker=marker,
            label=label,
        )
    limits = [min(point.seconds for point in measured), max(point.seconds for point in measured)]
    left.plot(limits, limits, color="black", linewidth=0.8)
    left.set(xscale="log", yscale="log", xlabel="measured seconds", ylabel="predicted seconds")
    left.legend()
    curves = {
        "first pass, batch 131,072": [model.seconds(far_work(p, reads=True)) for p in _WORKERS],
        "later pass, batch 131,072": [model.seconds(far_work(p, reads=False)) for p in _WORKERS],
        "later pass, batch 65,536 a worker": [
            model.seconds(far_work(p, reads=False, growing=True)) for p in _WORKERS
        ],
        "one reduction in all (exact)": [model.seconds(far_work(p, reads=True, steps=1)) for p in _WORKERS],
    }
    for label, seconds in curves.items():
        right.plot(_WORKERS, [second / 60 for second in seconds], marker=".", label=label)
    right.set(xscale="log", yscale="log", xlabel="workers of one core", ylabel="minutes for 10 TB")
    right.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _share(model: CostModel, work: Work) -> str:
    seconds = model.seconds(work)
    return f"{model.communication(work) / seconds:.0%}" if seconds else ""


def _duration(seconds: float) -> str:
    if seconds >= 7_200:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.1f} s"
