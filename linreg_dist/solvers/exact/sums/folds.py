"""Cross-validation folds of rows: a hash of the row's place in its file, like the validation split.

So a row keeps its fold when files are added, when the data set moves, and for any number of workers. In a
large file runs of neighbours share a fold: they are summed where they lie, while to gather single rows would
cost as much as to sum them. Of F folds, every F runs from the top of the file on have one each, in a random
order: a file has hundreds of runs, so the folds are of equal size and each is spread over all of it.
Neighbours that resemble each other then do not tell one fold what is in another.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linreg_dist.data.rows import row_hash

_FEWEST_RUNS = 256  # in a file, or one for each row
_LONGEST_RUN = 4096

Spans = list[tuple[int, int]]


def rows_per_run(rows_in_file: int) -> int:
    """Return how many neighbouring rows of a file share a fold: 1 in a small one, up to 4,096."""
    return max(1, min(_LONGEST_RUN, rows_in_file // _FEWEST_RUNS))


def fold_of_rows(
    file_key: str, row_numbers: npt.NDArray[np.uint64], num_folds: int, run: int = 1
) -> npt.NDArray[np.uint8 | np.uint16]:
    """Return the fold, 0 … num_folds - 1, of each row of a file whose runs have ``run`` rows.

    Single rows: the high bits of `row_hash` times the number of folds. Runs: the rank of their hash among
    ``num_folds`` consecutive ones. The hash is salted, so folds and the validation split are independent of
    each other.
    """
    # Small integers, because numpy sorts those by radix.
    kind = np.min_scalar_type(num_folds)
    salt, folds = f"fold:{file_key}", np.uint64(num_folds)
    if run == 1:
        high = row_hash(salt, row_numbers) >> np.uint64(32)
        return ((high * folds) >> np.uint64(32)).astype(kind)
    runs = row_numbers // np.uint64(run)
    if not runs.size:
        return runs.astype(kind)
    first, last = int(runs.min()) // num_folds, int(runs.max()) // num_folds + 1
    hashes = row_hash(salt, np.arange(first * num_folds, last * num_folds, dtype=np.uint64))
    rank = hashes.reshape(-1, num_folds).argsort(axis=1).argsort(axis=1).astype(kind).reshape(-1)
    return np.asarray(rank[(runs - np.uint64(first * num_folds)).astype(np.int64)])


def spans_of_folds(
    file_key: str, rows: range | npt.NDArray[np.uint64], num_folds: int, run: int
) -> list[Spans]:
    """Return for each fold where its rows are among the given ones, as half-open ranges in order.

    Args:
        file_key: of the file.
        rows: numbers of rows of the file, ascending; a range where none is left out.
        num_folds: how many folds.
        run: rows of a run in this file.

    """
    folds: list[Spans] = [[] for _ in range(num_folds)]
    if not len(rows):
        return folds
    starts = np.arange(int(rows[0]) // run, int(rows[-1]) // run + 1, dtype=np.uint64) * np.uint64(run)
    if isinstance(rows, range):
        begins = np.maximum(starts.astype(np.int64) - rows.start, 0)
    else:
        begins = np.searchsorted(rows, starts)
    ends = np.append(begins[1:], len(rows))
    fold_R = fold_of_rows(file_key, starts, num_folds, run)
    for fold, begin, end in zip(fold_R.tolist(), begins.tolist(), ends.tolist(), strict=True):
        spans = folds[fold]
        if begin == end:
            continue
        if spans and spans[-1][1] == begin:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((begin, end))
    return folds
