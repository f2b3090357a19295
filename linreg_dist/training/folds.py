"""Which cross-validation fold a row is in: a hash of its place in its file, like the validation split.

So a row keeps its fold when files are added, when the data set moves, and for any number of workers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linreg_dist.data.rows import row_hash


def fold_of_rows(
    file_key: str, row_numbers: npt.NDArray[np.uint64], num_folds: int
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Return the fold, 0 … num_folds - 1, of each row of a file.

    The high bits of `row_hash` times the number of folds. The hash is salted, so folds and the validation
    split are independent of each other.
    """
    high = row_hash(f"fold:{file_key}", row_numbers) >> np.uint64(32)
    # Small integers, because numpy sorts those by radix.
    return ((high * np.uint64(num_folds)) >> np.uint64(32)).astype(np.min_scalar_type(num_folds))
