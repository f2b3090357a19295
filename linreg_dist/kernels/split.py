"""The split of rows by a hash of their numbers, natively: `linreg_dist.data.rows.hash_split`."""

from __future__ import annotations

import numpy as np

from linreg_dist.kernels.compile import plain_strict_kernel
from linreg_dist.kernels.memory import int64_at

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
