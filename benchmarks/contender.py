"""What every contender is: a name, and a function that trains on a data set and says how that went."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.problems import Dataset


class UnavailableError(Exception):
    """The contender cannot run here; its message is the reason that the report shows."""


@dataclass(frozen=True)
class Grid:
    """How much to run.

    Attributes:
        name: smoke, small, full or exact.
        problems: names in `PROBLEMS`.
        contenders: names in the registry, in the order of the report.
        scale: multiplies every problem's rows.
        epochs: passes over the rows, for every contender that learns in passes.
        rounds: how often everything is run, interleaved.
        capped_rows: rows for contenders that would take minutes on all of them.
        timeout_s: for one run of one contender.
        overrides: options of the job spec, for our own contenders.
        digits: whether coefficients are compared with a float64 QR of the rows, which takes a while once.
    """

    name: str
    problems: tuple[str, ...]
    contenders: tuple[str, ...]
    scale: float = 1.0
    epochs: int = 3
    rounds: int = 3
    capped_rows: int = 100_000
    timeout_s: float = 900.0
    overrides: Mapping[str, Any] = field(default_factory=dict)
    digits: bool = False


@dataclass(frozen=True)
class Pass:
    """One pass over the training rows; the first includes reading them."""

    rows: int
    seconds: float


@dataclass(frozen=True)
class Outcome:
    """What a contender reports.

    Attributes:
        started, finished: wall-clock time (seconds since 1970) between which it read and learnt. What lies
            before, from the start of its process, is start-up; what lies after, until the process has gone,
            is teardown.
        passes: one after another.
        coef, intercept: what it learnt, in the units of the data; None for a floor, which learns nothing.
        note: what a reader must know to compare it fairly.
        extra: anything else worth keeping (resolved spec, choices, a loss per epoch).
    """

    started: float
    finished: float
    passes: Sequence[Pass]
    coef: Sequence[float] | None = None
    intercept: float | None = None
    note: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Contender:
    """One way to do the job.

    Attributes:
        name: as in results.
        about: one line for the report.
        run: trains and reports; imports what it needs itself, so that its imports count as its start-up.
        num_cpus: cores it may use; None means all.
        single_process: False where the memory of the process that `run` is called in says little.
    """

    name: str
    about: str
    run: Callable[[Dataset, Grid], Outcome]
    num_cpus: int | None = None
    single_process: bool = True
