"""The hot loop of the exact solver: float64 sums of a shifted Gram matrix, one pass over a block.

The shapes are unusual for BLAS: k (rows) is long and Z (columns) is short. So the block is taken in slices
that stay in the L2 cache: a slice is widened to float64, shifted and multiplied before it leaves the cache,
and main memory is read once, in the precision in which the data are stored. numpy releases the interpreter's
lock for all of it.

Legend: N rows, D features, K targets, Z = D + K, S rows of one slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from linreg_dist.kernels.calls import fold_rows

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]
Spans = Sequence[tuple[int, int]]

Sums = Callable[[Array, Array, Floats, Array | None, Spans | None], tuple[Floats, Floats]]
"""``sums(x_ND, y_NK, shift_Z, w_N, spans)``: see `shifted_sums`."""

# Bytes of the float64 scratch slice. Measured on an AVX-512 core with 1 MiB of L2 (float32 columns, mean 0,
# one thread), Mrow/s:
#            Z = 9    33    129    257
#   0.5 MiB     52   8.1   1.21   0.41
#     1 MiB     56   9.1   1.34   0.43
#     2 MiB     65   9.4   1.39   0.43
#     4 MiB     70   8.6   1.47   0.46
# 2 MiB is near the best everywhere and leaves the last-level cache to the decoder beside us.
SLICE_BYTES = 2 << 20

_MIN_SLICE_ROWS = 256
PILOT_ROWS = 256


def slice_rows(num_columns: int, budget: int = SLICE_BYTES) -> int:
    """Return how many rows of ``num_columns`` float64 values fill one scratch slice of ``budget`` bytes."""
    return max(_MIN_SLICE_ROWS, budget // (8 * max(num_columns, 1)) // 64 * 64)


def pilot_shift(x_ND: Array, y_NK: Array) -> Floats:
    """Return a cheap float64 guess of the column means, (Z,): the mean of at most 256 evenly spaced rows.

    Any shift gives the same moments in exact arithmetic; one near the mean keeps the digits that
    ``X'X - n m m'`` would cancel. A constant column gets exactly its value, so its variance comes out
    exactly zero. Where no column's mean is larger than its standard deviation there is but one bit to lose,
    and the shift is zero, which costs nothing to subtract.
    """
    step = max(1, -(-x_ND.shape[0] // PILOT_ROWS))
    sample_SZ = np.concatenate([x_ND[::step], y_NK[::step]], axis=1, dtype=np.float64)
    first_Z = sample_SZ[0]
    centred_SZ = sample_SZ - first_Z
    mean_Z = centred_SZ.mean(axis=0)
    shift_Z: Floats = first_Z + mean_Z
    spread_Z = np.sqrt(np.square(centred_SZ - mean_Z).mean(axis=0))
    return np.zeros_like(shift_Z) if bool((np.abs(shift_Z) <= spread_Z).all()) else shift_Z


def shifted_sums(
    x_ND: Array, y_NK: Array, shift_Z: Floats, w_N: Array | None = None, spans: Spans | None = None
) -> tuple[Floats, Floats]:
    """Return ``Σ w (z - shift)(z - shift)'`` and ``Σ w (z - shift)`` of the rows z = [x, y], in float64.

    The bits depend on BLAS's number of threads, which who makes a pass holds at one
    (`linreg_dist.kernels.blas`).

    Args:
        x_ND: features, any real dtype; fastest when each column is contiguous.
        y_NK: targets, likewise.
        shift_Z: the point to sum around, (D + K,).
        w_N: row weights, finite and not negative; None means 1.
        spans: half-open ranges of the rows to sum; None means all.

    Returns:
        gram_ZZ (symmetric to the last bit) and sum_Z.

    """
    num_features = x_ND.shape[1]
    num_columns = num_features + y_NK.shape[1]
    spans = [(0, x_ND.shape[0])] if spans is None else spans
    step = min(slice_rows(num_columns), max(sum(stop - start for start, stop in spans), 1))
    scratch_ZS = np.empty((num_columns, step))
    gram_ZZ = np.zeros((num_columns, num_columns))
    sum_Z = np.zeros(num_columns)
    is_shifted = bool(shift_Z.any())
    for pieces in slices_of(spans, step):
        z_ZS = scratch_ZS[:, : sum(stop - start for start, stop in pieces)]
        _copy_columns(z_ZS[:num_features], x_ND.T, pieces)
        _copy_columns(z_ZS[num_features:], y_NK.T, pieces)
        if is_shifted:
            z_ZS -= shift_Z[:, None]
        if w_N is None:
            sum_Z += z_ZS.sum(axis=1)
        else:
            # √w on both factors keeps the product symmetric and needs no second scratch slice.
            root_w_S = np.sqrt(np.concatenate([w_N[a:b] for a, b in pieces], dtype=np.float64))
            z_ZS *= root_w_S
            sum_Z += np.einsum("zs,s->z", z_ZS, root_w_S)
        gram_ZZ += z_ZS @ z_ZS.T  # a matrix times its transpose: numpy has BLAS make one half of it
    return gram_ZZ, sum_Z


def native_sums(
    x_ND: Array, y_NK: Array, shift_Z: Floats, w_N: Array | None = None, spans: Spans | None = None
) -> tuple[Floats, Floats]:
    """Return what `shifted_sums` does, by one native call where the columns are contiguous floats."""
    arrays = [x_ND, y_NK, *([] if w_N is None else [w_N])]
    if not is_plain(arrays):
        return shifted_sums(x_ND, y_NK, shift_Z, w_N, spans)
    first, end = (0, x_ND.shape[0]) if spans is None or len(spans) != 1 else spans[0]
    rows_M = np.empty(0, dtype=np.int64)
    if spans is not None and len(spans) != 1:
        rows_M = np.concatenate([np.arange(start, stop) for start, stop in spans])
        end = len(rows_M)
    return fold_rows([*x_ND.T, *y_NK.T], w_N, rows_M, first, end, shift_Z)


def is_plain(arrays: Sequence[Array]) -> bool:
    """Return whether native kernels take arrays of rows: columns of one floating type, each contiguous."""
    dtype, num_rows = arrays[0].dtype, arrays[0].shape[0]
    return dtype in (np.float32, np.float64) and all(
        array.dtype == dtype and (num_rows < 2 or array.strides[0] == array.itemsize) and array.size > 0
        for array in arrays
    )


def _copy_columns(into_DS: Floats, matrix_DN: Array, pieces: Spans) -> None:
    """Copy ranges of columns side by side into ``into_DS``, with its type."""
    if len(pieces) == 1:
        ((start, stop),) = pieces
        into_DS[:] = matrix_DN[:, start:stop]
    else:
        np.concatenate([matrix_DN[:, a:b] for a, b in pieces], axis=1, out=into_DS)


def slices_of(spans: Spans, step: int) -> Iterator[list[tuple[int, int]]]:
    """Cut ranges of rows into lists of ranges that hold ``step`` rows together, the last one what is left."""
    pieces: list[tuple[int, int]] = []
    room = step
    for start, stop in spans:
        while start < stop:
            end = min(stop, start + room)
            pieces.append((start, end))
            room -= end - start
            start = end
            if room == 0:
                yield pieces
                pieces, room = [], step
    if pieces:
        yield pieces
