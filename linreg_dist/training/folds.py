"""Which cross-validation fold a row is in: a hash of its place in its file, like the validation split.

So a row keeps its fold when files are added, when the data set moves, and for any number of workers.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt


def fold_of_rows(
    file_key: str, row_numbers: npt.NDArray[np.uint64], num_folds: int
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Return the fold, 0 … num_folds - 1, of each row of a file.

    The high bits of splitmix64(hash(file key) + row number) times the number of folds (Steele, Lea & Flood
    2014; the finaliser has Stafford's variant 13 constants). The hash is salted, so folds and the validation
    split are independent of each other.
    """
    salt = hashlib.blake2b(f"fold:{file_key}".encode(), digest_size=8).digest()
    z = np.uint64(int.from_bytes(salt, "little")) + row_numbers * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = (z ^ (z >> np.uint64(31))) >> np.uint64(32)
    # Small integers, because numpy sorts those by radix.
    return ((z * np.uint64(num_folds)) >> np.uint64(32)).astype(np.min_scalar_type(num_folds))
