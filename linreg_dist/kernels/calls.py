"""The kernels of a pass, called from their kept machine code, without the interpreter lock.

Loading numba takes half a second of a process, which is as long as a pass over eight million rows. What these
kernels compile to is kept as object code (see `linreg_dist.kernels.objects`) and needs no numba to be called.

Shape suffixes: Z columns, features and targets, N rows of a row group, M rows that count.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_TILE_BYTES = 1 << 17
_MOST_ROWS = 512
_FOLDS = {np.dtype(np.float32): "fold_float32", np.dtype(np.float64): "fold_float64"}
_loading = threading.Lock()


def fold_rows(
    columns_Z: Sequence[Array], w_N: Array | None, rows_M: Ints, first: int, end: int, shift_Z: Floats
) -> tuple[Floats, Floats]:
    """Return ``Σ w (z - shift)(z - shift)'`` and ``Σ w (z - shift)`` of some rows, (Z, Z) and (Z,).

    Tiles of rows are fixed and added in order, so the same rows in the same order give the same bits,
    wherever they are in memory.

    Args:
        columns_Z: (N,) each, contiguous, all float32 or all float64.
        w_N: row weights of the same type, not negative; None means 1.
        rows_M: row numbers; empty stands for all rows, in order.
        first, end: half-open range of ``rows_M``, or of the rows where it is empty.
        shift_Z: the point to sum around.

    """
    size = len(columns_Z)
    padded = (size + 4) // 4 * 4
    most = max(64, min(_MOST_ROWS, _TILE_BYTES // (8 * padded) // 64 * 64))
    # The columns of the tile, one of ones (or roots of the weights) after them, and the roots.
    tile = np.zeros((padded + 1, most))
    tile[size] = 1.0
    gram_PP = np.zeros((padded, padded))
    addresses_Z = np.fromiter((address_of(column) for column in columns_Z), np.int64, size)
    shift_Z = np.ascontiguousarray(shift_Z, np.float64)
    _call(_FOLDS[columns_Z[0].dtype])(
        address_of(addresses_Z),
        size,
        0 if w_N is None else address_of(w_N),
        first,
        end,
        address_of(rows_M) if len(rows_M) else 0,
        address_of(shift_Z),
        address_of(tile),
        most,
        address_of(gram_PP),
        padded,
    )
    return gram_PP[:size, :size].copy(), gram_PP[:size, size].copy()


def split_rows(salt: int, first_row: int, limit: int, num_rows: int) -> tuple[Ints, Ints]:
    """Return the numbers of the rows that train and of those that validate, each ascending, in one array.

    Args:
        salt: 64 bits that are added to each row's number times the golden ratio.
        first_row: the number in its file of row 0.
        limit: a row validates whose hash is below it, of 2⁶⁴.
        num_rows: how many.

    """
    rows, spare = np.empty(num_rows + 1, np.int64), np.empty(num_rows + 1, np.int64)
    num_train = _call("split_rows")(
        _signed(salt), first_row, _signed(limit), num_rows, address_of(rows), address_of(spare)
    )
    rows = rows[:num_rows]
    return rows[:num_train], rows[num_train:]


def address_of(values: Array) -> int:
    """Return where the numbers of an array begin."""
    return int(values.__array_interface__["data"][0])


def _signed(bits: int) -> int:
    return ctypes.c_int64(int(bits)).value


def _call(name: str) -> Callable[..., int]:
    with _loading:
        return _loaded(name)


@cache
def _loaded(name: str) -> Callable[..., int]:
    from linreg_dist.kernels.objects import load_function

    return load_function(name)
