"""Moments of rows whose columns lie apart, where they were decoded; the bits are those of a block's rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Block
from linreg_dist.kernels.calls import address_of, row_moments
from linreg_dist.stats.moments import Moments

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
_ALL = np.empty(0, dtype=np.int64)


def moments_of_columns(
    dtype: np.dtype[Any],
    addresses_Z: Ints,
    w_N: Array | None,
    rows_M: Ints,
    first: int,
    end: int,
    names: tuple[tuple[str, ...], tuple[str, ...]],
) -> Moments | None:
    """Return the moments of some rows by one native call; None where a value is missing or too large.

    Args:
        dtype: of the columns, float32 or float64.
        addresses_Z: where features, then targets, begin in memory.
        w_N: weights of the same type, or None where all are 1.
        rows_M: row numbers; empty stands for all rows, in order.
        first, end: half-open range of ``rows_M``, or of the rows where it is empty.
        names: of the features and the targets.

    Raises:
        DataError: a weight is negative, or its square overflows.

    """
    num_rows = end - first
    if num_rows == 0:
        return Moments.empty(*names)
    found = row_moments(dtype, addresses_Z, w_N, rows_M, first, end)
    if found is None:
        return None
    shift_Z, offset_Z, cross_ZZ = found
    if w_N is None:
        count = float(num_rows)
        return Moments(*names, num_rows, 0, count, count, 0.0, shift_Z, offset_Z, cross_ZZ)
    weights = w_N[rows_M[first:end]] if len(rows_M) else w_N[first:end]
    return Moments.from_sums(names, num_rows, weights, shift_Z, cross_ZZ, offset_Z)


def moments_of_block(rows: Block, names: tuple[tuple[str, ...], tuple[str, ...]]) -> Moments | None:
    """Return the moments of a block's rows, with the bits of `moments_of_columns`; None as there."""
    x_ND, y_NK, w_N = rows.x_ND, rows.y_NK, rows.w_N
    columns = [*x_ND.T, *y_NK.T]
    addresses_Z = np.fromiter((address_of(column) for column in columns), np.int64, len(columns))
    return moments_of_columns(x_ND.dtype, addresses_Z, w_N, _ALL, 0, rows.num_rows, names)
