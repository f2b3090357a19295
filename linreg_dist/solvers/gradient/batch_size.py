"""The batch size of a step: enough rows that fixed costs are small beside those that grow with rows.

A step costs a fixed time (the all-reduce, autograd, the optimizer, a few operations on the rows of each lane
however few they are) and a time per row. Both are measured once, on these workers and blocks. Fewer,
larger steps waste less of the fixed time but move the weights less often, so the choice stays between 64 and
1,024 steps an epoch, unless the user names a size.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from linreg_dist.training.rows.sweep import Rows
from linreg_dist.training.worker import Worker

FIXED_SHARE = 0.1
MOST_STEPS, FEWEST_STEPS = 1024, 64
_SMALLEST = 8  # rows; below that a step teaches less than it costs
_FEW_ROWS = 8
_REPEATS = 5


@dataclass(frozen=True)
class StepCost:
    """What a step costs over all workers.

    Attributes:
        fixed_s: seconds a step takes that has next to no rows, synchronisation included.
        rows_per_s: rows all workers together add up in a second, from memory.
    """

    fixed_s: float
    rows_per_s: float

    def batch_size(self, train_rows: int, sync_every: int = 1) -> int:
        """Return the smallest batch whose fixed part is under a tenth of the step, 64 to 1,024 an epoch."""
        wanted = (1.0 / FIXED_SHARE - 1.0) * self.fixed_s / sync_every * self.rows_per_s
        bounded = min(max(int(wanted), train_rows // MOST_STEPS), train_rows // FEWEST_STEPS)
        return max(1, min(train_rows, max(_SMALLEST, bounded)))

    def fixed_share(self, batch_size: int, sync_every: int = 1) -> float:
        """Return the share of a step of this size that is fixed."""
        fixed_s = self.fixed_s / sync_every
        return fixed_s / (fixed_s + batch_size / self.rows_per_s)


def measure_step(worker: Worker, model: nn.Module, sample: Sequence[Rows]) -> StepCost:
    """Time steps with next to no rows and with the rows of ``sample``. Every worker must call it; all get the
    same answer.

    Args:
        worker: this one; workers without rows bring an empty sample.
        model: gives the loss of pieces, wrapped as in training.
        sample: rows in memory, in as many pieces as this worker's lanes bring to a step.
    """
    few = [rows.first(_FEW_ROWS) for rows in sample]
    fixed_s = _seconds(lambda: model(few).backward())
    num_rows = sum(rows.x_ND.shape[0] for rows in sample)
    with_rows_s = _seconds(lambda: model(sample).backward())
    measured = worker.gather((fixed_s, num_rows, with_rows_s))
    slowest = max(fixed for fixed, _, _ in measured)
    rates = [rows / max(seconds - fixed, 1e-6) for fixed, rows, seconds in measured if rows]
    # The slowest worker sets the pace, and those without rows add nothing.
    return StepCost(slowest, min(rates) * len(rates) if rates else 1.0)


def _seconds(step: Callable[[], object]) -> float:
    times = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        step()
        times.append(time.perf_counter() - started)
    return statistics.median(times)
