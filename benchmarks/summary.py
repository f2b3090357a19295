"""From single runs to what the report shows: medians per problem and contender, and the promised ratios."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from benchmarks.isolate import Record
from benchmarks.problems import PROBLEMS

FLOOR = "floor_processes"


@dataclass(frozen=True)
class Row:
    """Medians over rounds, one contender on one problem; ``spread``: (max - min) / median of ``train_s``."""

    problem: str
    contender: str
    num_rows: int
    num_features: int
    rounds: int
    status: str
    reason: str
    startup_s: float | None
    train_s: float | None
    teardown_s: float | None
    rows_per_s: float | None
    first_rows_per_s: float | None
    later_rows_per_s: float | None
    mse: float | None
    gap: float | None
    digits: float | None
    optimum_share: float | None
    peak_rss_mb: float | None
    spread: float | None
    of_floor: float | None
    note: str


def summarise(records: Sequence[Record]) -> list[Row]:
    """Return a row per problem and contender, in the order in which they first ran."""
    keys = dict.fromkeys((record.problem, record.contender) for record in records)
    rows = [_row([r for r in records if (r.problem, r.contender) == key], records) for key in keys]
    order = list(dict.fromkeys(record.problem for record in records))
    return sorted(rows, key=lambda row: order.index(row.problem))


def _row(runs: list[Record], records: Sequence[Record]) -> Row:
    done = [run for run in runs if run.status == "ok"]
    last = runs[-1]
    train_s = _median(run.train_s for run in done)
    first = _median(run.first_rows_per_s for run in done)
    floor = _median(
        run.rows_per_s for run in records if run.problem == last.problem and run.contender == FLOOR
    )
    seconds = [run.train_s for run in done if run.train_s]
    mse, gap = _median(run.mse for run in done), _median(run.gap for run in done)
    return Row(
        problem=last.problem,
        contender=last.contender,
        num_rows=last.num_rows,
        num_features=last.num_features,
        rounds=len(done),
        status=last.status,
        reason=last.reason,
        startup_s=_median(run.startup_s for run in done),
        train_s=train_s,
        teardown_s=_median(run.teardown_s for run in done),
        rows_per_s=_median(run.rows_per_s for run in done),
        first_rows_per_s=first,
        later_rows_per_s=_median(run.later_rows_per_s for run in done),
        mse=mse,
        gap=gap,
        digits=_median(run.digits for run in done),
        optimum_share=gap / (mse - gap) if mse is not None and gap is not None else None,
        peak_rss_mb=_median(run.peak_rss_mb for run in done),
        spread=(max(seconds) - min(seconds)) / train_s if seconds and train_s else None,
        of_floor=first / floor if first and floor else None,
        note=last.note,
    )


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


Measure = Literal["first_rows_per_s", "later_rows_per_s", "rows_per_s", "train_s", "startup_s"]


@dataclass(frozen=True)
class Target:
    """A promise: ``ours`` over ``theirs`` is at least ``at_least``, or at most ``extra_s`` seconds more.

    ``same_objective`` says whether both minimise the same, so that their losses may be compared.
    """

    text: str
    problems: tuple[str, ...]
    ours: tuple[str, Measure]
    theirs: tuple[str, Measure]
    at_least: float | None = None
    extra_s: float | None = None
    same_objective: bool = True


_ROUNDING = 1e-12  # of a loss near 1: below this, which of two gaps is the smaller says nothing
_BOTH = ("W32", "W8")
_EXACT_PEERS = ("sklearnex_incremental", "polars_ds_lin_reg", "duckdb_moments", "sklearn_in_ram")
_FIRST: Measure = "first_rows_per_s"
_LATER: Measure = "later_rows_per_s"

TARGETS: tuple[Target, ...] = (
    Target(
        "first epoch, all threads, of the two-process scan",
        _BOTH,
        ("ours_all_threads", _FIRST),
        (FLOOR, "rows_per_s"),
        0.8,
    ),
    Target(
        "first epoch, 2 Ray workers, of the two-process scan",
        _BOTH,
        ("ours_ray_2", _FIRST),
        (FLOOR, "rows_per_s"),
        0.8,
    ),
    Target(
        "later epochs of the first, all threads",
        _BOTH,
        ("ours_all_threads", _LATER),
        ("ours_all_threads", _FIRST),
        2.5,
    ),
    Target(
        "later epochs of the first, 2 Ray workers", _BOTH, ("ours_ray_2", _LATER), ("ours_ray_2", _FIRST), 2.5
    ),
    Target(
        "2 Ray workers of 1, all epochs",
        _BOTH,
        ("ours_ray_2", "rows_per_s"),
        ("ours_ray_1", "rows_per_s"),
        1.8,
    ),
    Target(
        "all threads of 1 thread, all epochs",
        _BOTH,
        ("ours_all_threads", "rows_per_s"),
        ("ours_1_thread", "rows_per_s"),
        1.8,
    ),
    Target(
        "first epoch, of the tutorial loop",
        ("W32",),
        ("ours_all_threads", _FIRST),
        ("tutorial", _FIRST),
        100.0,
    ),
    Target(
        "first epoch, of the pyarrow loop",
        ("W32",),
        ("ours_all_threads", _FIRST),
        ("pyarrow_loop", _FIRST),
        6.0,
    ),
    Target(
        "first epoch, of partial_fit",
        ("W32",),
        ("ours_all_threads", _FIRST),
        ("sklearn_partial_fit", _FIRST),
        6.0,
    ),
    Target(
        "all epochs, of Spark l-bfgs per pass",
        ("W32",),
        ("ours_all_threads", "rows_per_s"),
        ("spark_lbfgs", "rows_per_s"),
        10.0,
    ),
    Target(
        "exact solver, of the two-process scan", _BOTH, ("ours_exact", _FIRST), (FLOOR, "rows_per_s"), 0.8
    ),
    *(
        Target(f"exact solver, of {peer}", ("W32", "W256"), ("ours_exact", _FIRST), (peer, _FIRST), 3.0)
        for peer in _EXACT_PEERS
    ),
    Target(
        "exact solver, of Spark normal",
        ("W32",),
        ("ours_exact", _FIRST),
        ("spark_normal", _FIRST),
        25.0,
    ),
    Target(
        "exact solver at 256 columns, of the machine's dgemm",
        ("W256",),
        ("ours_exact", _FIRST),
        ("floor_dgemm", _FIRST),
        0.6,
    ),
    Target(
        "100 penalties and 5 folds cost under 10 % more than one fit",
        ("W32",),
        ("ours_tune", _FIRST),
        ("ours_exact", _FIRST),
        1 / 1.1,
        same_objective=False,
    ),
    Target(
        "start-up over a no-op TorchTrainer, 2 workers",
        ("W32",),
        ("ours_ray_2", "startup_s"),
        ("ray_noop_2", "startup_s"),
        extra_s=1.0,
    ),
)


@dataclass(frozen=True)
class Verdict:
    """What a target came to: ``reached`` is a ratio, or for ``extra_s`` a difference in seconds.

    ``gap_not_higher`` says whether our loss is at most theirs; None where they learn nothing.
    """

    problem: str
    target: Target
    reached: float
    gap_not_higher: bool | None
    full_size: bool

    @property
    def met(self) -> bool | None:
        """Whether the promise holds; None at a size that it does not speak of."""
        if not self.full_size:
            return None
        if self.target.extra_s is not None:
            return self.reached <= self.target.extra_s
        return self.target.at_least is not None and self.reached >= self.target.at_least

    @property
    def wanted(self) -> str:
        """The promise as text."""
        if self.target.extra_s is not None:
            return f"≤ +{self.target.extra_s:g} s"
        return f"≥ {self.target.at_least:g}×"

    @property
    def got(self) -> str:
        """The result as text."""
        return f"{self.reached:+.2f} s" if self.target.extra_s is not None else f"{self.reached:.2f}×"


def judge(rows: Sequence[Row]) -> list[Verdict]:
    """Return a verdict for every target whose two sides were measured."""
    by_key = {(row.problem, row.contender): row for row in rows}
    verdicts = []
    for target in TARGETS:
        for problem in target.problems:
            ours, theirs = by_key.get((problem, target.ours[0])), by_key.get((problem, target.theirs[0]))
            if ours is None or theirs is None:
                continue
            mine, other = getattr(ours, target.ours[1]), getattr(theirs, target.theirs[1])
            if mine is None or not other:
                continue
            lower = None
            compared = target.same_objective and ours.contender != theirs.contender
            if compared and ours.gap is not None and theirs.gap is not None:
                lower = ours.gap <= theirs.gap + _ROUNDING
            reached = mine - other if target.extra_s is not None else mine / other
            full_size = ours.num_rows == PROBLEMS[problem].num_rows
            verdicts.append(Verdict(problem, target, reached, lower, full_size))
    return verdicts
