"""The split of rows by a hash of their numbers, and their way to where they are used, natively.

See `linreg_dist.data.rows.hash_split` and `linreg_dist.data.gather`, which say the same in numpy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from linreg_dist.kernels.compile import plain_kernel, plain_strict_kernel
from linreg_dist.kernels.memory import float32_at, float64_at, int64_at

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST_FACTOR, _SECOND_FACTOR = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_FIRST_SHIFT, _SECOND_SHIFT, _LAST_SHIFT = np.uint64(30), np.uint64(27), np.uint64(31)


@plain_strict_kernel
def split_rows(salt: int, first_row: int, limit: int, num_rows: int, rows: int, spare: int) -> int:
    """Write the numbers of the rows that train, then of those that validate, and return how many train.

    All arguments are int64; see `linreg_dist.kernels.calls.split_rows`, which makes them.
    """
    trains, validates = int64_at(rows), int64_at(spare)
    num_train = num_validation = 0
    for i in range(num_rows):
        z = np.uint64(first_row + i) * _GOLDEN + np.uint64(salt)
        z = (z ^ (z >> _FIRST_SHIFT)) * _FIRST_FACTOR
        z = (z ^ (z >> _SECOND_SHIFT)) * _SECOND_FACTOR
        z ^= z >> _LAST_SHIFT
        # Both are written and one counts: a branch that nothing predicts would cost more.
        trains[num_train] = i
        validates[num_validation] = i
        is_validation = z < np.uint64(limit)
        num_validation += int(is_validation)
        num_train += int(not is_validation)
    for i in range(num_validation):
        trains[num_train + i] = validates[i]
    return num_train


def _take_for(values_at: Any, out_at: Any, zero: Any) -> Callable[..., int]:
    is_same = values_at is out_at

    @plain_strict_kernel
    def take_run(values: int, begin: int, num_rows: int, less: float, out: int, into: int) -> None:
        source, target = values_at(values), out_at(out)
        if is_same and less == 0.0:
            for t in range(num_rows):
                target[into + t] = source[begin + t]
        else:
            for t in range(num_rows):
                target[into + t] = np.float64(source[begin + t]) - less

    @plain_strict_kernel
    def take_listed(values: int, listed: int, num_rows: int, less: float, out: int) -> None:
        source, chosen, target = values_at(values), int64_at(listed), out_at(out)
        if is_same and less == 0.0:
            for t in range(num_rows):
                target[t] = source[chosen[t]]
        else:
            for t in range(num_rows):
                target[t] = np.float64(source[chosen[t]]) - less

    @plain_kernel
    def has_bad(out: int, num_rows: int) -> bool:
        # Zero times what is finite is zero; times NaN or infinity it is NaN, and so is a sum with it.
        target, zeros = out_at(out), zero
        for t in range(num_rows):
            zeros += target[t] * zero
        is_bad: bool = zeros != zero
        return is_bad

    def take(
        values: int, num_rows: int, order: int, runs: int, length: int, listed: int, shift: int, out: int
    ) -> int:
        """Write rows of a column less a shift, and return whether one of them is NaN or infinite.

        All arguments are int64; see `linreg_dist.kernels.calls.take_rows`, which makes them.
        """
        less, order_at = float64_at(shift)[0], int64_at(order)
        if listed != 0:
            take_listed(values, listed, num_rows, less, out)
        else:
            for r in range(runs):
                take_run(values, order_at[r] * length, length, less, out, r * length)
            whole = runs * length
            take_run(values, whole, num_rows - whole, less, out, whole)
        return int(has_bad(out, num_rows))

    return plain_strict_kernel(take)


_ZERO32, _ZERO64 = np.float32(0), np.float64(0)
take_float32_float32 = _take_for(float32_at, float32_at, _ZERO32)
take_float32_float64 = _take_for(float32_at, float64_at, _ZERO64)
take_float64_float32 = _take_for(float64_at, float32_at, _ZERO32)
take_float64_float64 = _take_for(float64_at, float64_at, _ZERO64)
