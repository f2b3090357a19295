"""Moments of rows whose columns lie apart, where they were decoded; the bits are those of a block's rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linreg_dist.kernels.calls import fold_rows
from linreg_dist.stats.kernel import PILOT_ROWS, pilot_shift
from linreg_dist.stats.moments import Moments

Array = npt.NDArray[Any]


def moments_of_columns(
    columns_Z: Sequence[Array],
    w_N: Array | None,
    rows_M: npt.NDArray[np.int64],
    first: int,
    end: int,
    names: tuple[tuple[str, ...], tuple[str, ...]],
) -> Moments | None:
    """Return the moments of some rows by one native call; None where a value is missing or too large.

    Args:
        columns_Z: features, then targets, contiguous, of one floating type.
        w_N: weights of the same type, or None where all are 1.
        rows_M: row numbers; empty stands for all rows, in order.
        first, end: half-open range of ``rows_M``, or of the rows where it is empty.
        names: of the features and the targets.

    """
    num_rows = end - first
    if num_rows == 0:
        return Moments.empty(*names)
    step = max(1, -(-num_rows // PILOT_ROWS))
    sampled = rows_M[first:end:step] if len(rows_M) else np.arange(first, end, step)
    sample_ZS = np.stack([column[sampled] for column in columns_Z])
    split = len(names[0])
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite shows in the sums
        shift_Z = pilot_shift(sample_ZS[:split].T, sample_ZS[split:].T)
        gram_ZZ, sum_Z = fold_rows(columns_Z, w_N, rows_M, first, end, shift_Z)
    if not np.isfinite(gram_ZZ.diagonal()).all():
        return None
    weights = None
    if w_N is not None:
        weights = w_N[rows_M[first:end]] if len(rows_M) else w_N[first:end]
    return Moments.from_sums(names, num_rows, weights, shift_Z, gram_ZZ, sum_Z)
