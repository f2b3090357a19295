"""The batch size of a step: enough rows that fixed costs are small beside those that grow with rows.

A step costs a fixed time (the all-reduce, the update, handing over the rows of each lane however few they
are, waiting for the slowest worker) and a time per row. Both come from steps that really ran, on these
workers and rows, at the fewest and at the most rows that are in question. Fewer, larger steps waste less of
the fixed time but move the weights less often, so the choice stays between 64 and 1,024 steps an epoch,
and at 32 rows or more, unless the user names a size. Then a few steps of the size that was chosen are run as
well: where they take longer than the two others let expect, the choice is revised.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

FIXED_SHARE = 0.1
MOST_STEPS, FEWEST_STEPS = 1024, 64
# Rows. The gradient of fewer is so noisy that a step size of the user's ends far from the optimum, and their
# steps cost about the same, so that the choice between them would be the clock's mood.
_SMALLEST = 32
_SURPRISE = 1.25  # times the expected seconds, from which on a choice is revised
_MOST_REVISIONS = 2


@dataclass(frozen=True)
class StepCost:
    """What a step costs over all workers.

    Attributes:
        fixed_s: seconds of a step that do not depend on its rows.
        rows_per_s: rows that all workers together add up in a second beside that.

    """

    fixed_s: float
    rows_per_s: float

    @classmethod
    def through(cls, fewer: tuple[int, float], more: tuple[int, float]) -> StepCost:
        """Return the cost of steps of two sizes, each given by its rows and seconds."""
        (few, few_s), (many, many_s) = fewer, more
        # A clock that says that more rows take less time knows only that they take next to none.
        row_s = max((many_s - few_s) / max(many - few, 1), 1e-3 * many_s / max(many, 1), 1e-15)
        return cls(max(few_s - few * row_s, 0.0), 1.0 / row_s)

    def seconds(self, batch: int) -> float:
        """Return what a step of ``batch`` rows takes."""
        return self.fixed_s + batch / self.rows_per_s

    def fixed_share(self, batch: int) -> float:
        """Return the share of a step of this size that is fixed."""
        return self.fixed_s / self.seconds(batch)

    def batch_size(self, train_rows: int) -> int:
        """Return the smallest batch whose fixed part is under a tenth of the step, 64 to 1,024 an epoch."""
        fewest, most = bounds(train_rows)
        wanted = (1.0 / FIXED_SHARE - 1.0) * self.fixed_s * self.rows_per_s
        return int(min(max(math.ceil(wanted), fewest), most))


@dataclass(frozen=True)
class BatchChoice:
    """A batch size that was chosen by measuring.

    Attributes:
        batch: rows of a step over all workers.
        first: what was chosen before steps of that size were run.
        cost: of a step.
        reason: why this size, in words.

    """

    batch: int
    first: int
    cost: StepCost
    reason: str


def bounds(train_rows: int) -> tuple[int, int]:
    """Return the fewest and the most rows of a step that are in question."""
    fewest = max(1, min(train_rows, max(_SMALLEST, train_rows // MOST_STEPS)))
    return fewest, max(fewest, train_rows // FEWEST_STEPS)


def choose_by_time(train_rows: int, step_s: Callable[[int], float]) -> BatchChoice:
    """Choose by the time that steps take.

    Args:
        train_rows: of all workers.
        step_s: runs a few steps of a size and returns the seconds of one, the same on every worker.

    """
    fewest, most = bounds(train_rows)
    few, many = (fewest, step_s(fewest)), (most, step_s(most))
    cost = StepCost.through(few, many)
    first = batch = cost.batch_size(train_rows)
    revised = ""
    for _ in range(_MOST_REVISIONS):
        if batch in (fewest, most):
            break
        found = step_s(batch)
        expected = cost.seconds(batch)
        if found <= _SURPRISE * expected:
            break
        cost = StepCost.through((batch, found), many)
        later = max(batch, cost.batch_size(train_rows))
        revised = f"; {batch:,} rows took {found:.2g} s and not {expected:.2g} s"
        if later == batch:
            break
        batch = later
    return BatchChoice(batch, first, cost, _reason(cost, batch, fewest, most) + revised)


def _reason(cost: StepCost, batch: int, fewest: int, most: int) -> str:
    share = f"{cost.fixed_share(batch):.0%} of a step of {cost.seconds(batch):.2g} s is fixed"
    if batch == most and cost.fixed_share(batch) > FIXED_SHARE:
        return f"{share}, and {FEWEST_STEPS} steps an epoch are the fewest that auto takes"
    if batch == fewest:
        return f"{share}, and {MOST_STEPS:,} steps an epoch are the most that auto takes"
    return share
