"""The kernels of a pass, called from their kept machine code, without the interpreter lock.

Loading numba takes half a second of a process, which is as long as a pass over eight million rows. What these
kernels compile to is kept as object code (see `linreg_dist.kernels.objects`) and needs no numba to be called.

Shape suffixes: Z columns, features and targets, N rows of a row group, M rows that count.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_TILE_BYTES = 1 << 17
_MOST_ROWS = 512
_SPREAD_ROWS = 2048  # gone over twice in a core's first cache
_FOLDS = {np.dtype(np.float32): "fold_float32", np.dtype(np.float64): "fold_float64"}
_MOMENTS = {np.dtype(np.float32): "moments_float32", np.dtype(np.float64): "moments_float64"}
_KEPT_NUMBERS = 1 << 17  # a MiB: the scratch of more columns is given back
_pointer_in = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_in.restype, _pointer_in.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_loading, _kept = threading.Lock(), threading.local()


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
    padded, most = _tile_shape(size)
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


def row_moments(
    dtype: np.dtype[Any], addresses_Z: Ints, w_N: Array | None, rows_M: Ints, first: int, end: int
) -> tuple[Floats, Floats, Floats] | None:
    """Return a shift, the mean less the shift, and ``Σ (z - mean)(z - mean)'`` of some rows.

    With weights: the shift, ``Σ w (z - shift)`` and ``Σ w (z - shift)(z - shift)'``. One native call; the
    bits are the same wherever the rows are in memory.

    Args:
        dtype: of the columns, float32 or float64.
        addresses_Z: where each column begins, (Z,).
        w_N: row weights of the same type, contiguous, not negative; None means 1.
        rows_M: row numbers; empty stands for all rows, in order.
        first, end: half-open range of ``rows_M``, or of the rows where it is empty; not empty.

    Returns:
        Arrays (Z,), (Z,) and (Z, Z); None where a value is missing or too large to be squared.

    """
    size = len(addresses_Z)
    padded, most = _tile_shape(size)
    tile, gram = _scratch(padded, most)
    found = np.empty((size + 2, size))
    is_finite = _call(_MOMENTS[dtype])(
        address_of(addresses_Z),
        size,
        0 if w_N is None else address_of(w_N),
        first,
        end,
        address_of(rows_M) if len(rows_M) else 0,
        address_of(tile),
        most,
        address_of(gram),
        padded,
        address_of(found),
    )
    return (found[0], found[1], found[2:]) if is_finite else None


def addresses_in(batch: object, places_Z: Ints, dtype: np.dtype[Any]) -> Ints | None:
    """Return where columns of an Arrow record batch begin; None where one of them may have nulls.

    Args:
        batch: the capsule of its ``ArrowArray``, as `pyarrow.RecordBatch.__arrow_c_array__` gives it.
        places_Z: the columns' numbers in it.
        dtype: of all of them.

    """
    found = np.empty_like(places_Z)
    gaps = _call("find_columns")(
        _pointer_in(batch, b"arrow_array"),
        address_of(places_Z),
        len(places_Z),
        dtype.itemsize,
        address_of(found),
    )
    return None if gaps else found


def add_meats(
    columns_Z: Sequence[Array],
    w_N: Array | None,
    codes_N: Ints | None,
    mean_Z: Floats,
    coef_KP: Floats,
    to_u_PA: Floats,
    constant: float | None,
    powers: Sequence[int],
    sums: tuple[Floats, Floats, Floats, Floats],
    *,
    is_analytic: bool,
) -> int:
    """Add rows to the sums of robust covariances, and return how many of them have leverage 1.

    Args:
        columns_Z: (N,) each, P features and then K targets, contiguous, all float32 or all float64.
        w_N: row weights of the same type, not negative; None means 1.
        codes_N: the number of each row's cluster, from 0 on; None where there are none.
        mean_Z: what is taken from the columns.
        coef_KP: coefficients.
        to_u_PA: to orthonormal coordinates.
        constant: the first coordinate, of all rows; None where there is none, and A = R.
        powers: of 1/(1 - h), for each meat.
        sums: added to: Σ w e² (K,), Σ w e u (K, R), the meats (kinds, K, R, R), and the clusters' scores
            (G, K, R).
        is_analytic: else a row of weight w is w rows.

    """
    (targets, width), size = coef_KP.shape, to_u_PA.shape[1] + int(constant is not None)
    residual_K, gradient_KR, meats, scores_GKR = sums
    padded, most = _tile_shape(width + 3 * size + 2 * targets + 4)
    padded = (size + 3) // 4 * 4
    scratch = np.empty((width + 2 * padded + targets + 4) * most)
    found = np.zeros((len(powers), targets, padded, padded))
    addresses_Z = np.fromiter((address_of(column) for column in columns_Z), np.int64, len(columns_Z))
    numbers = [len(columns_Z[0]), width, targets, size, padded, most, len(powers)]
    shape = np.array([*numbers, int(constant is not None), int(is_analytic)], dtype=np.int64)
    means = np.array([*mean_Z, 0.0 if constant is None else constant])
    less_KP, to_u_PA = np.ascontiguousarray(-coef_KP), np.ascontiguousarray(to_u_PA)
    powers_of = np.array(powers, dtype=np.int64)
    full = _call(f"meat_{columns_Z[0].dtype.name}")(
        address_of(addresses_Z),
        0 if w_N is None else address_of(w_N),
        0 if codes_N is None else address_of(codes_N),
        address_of(shape),
        address_of(means),
        address_of(less_KP),
        address_of(to_u_PA),
        address_of(powers_of),
        address_of(scratch),
        address_of(residual_K),
        address_of(gradient_KR),
        address_of(found),
        address_of(scores_GKR),
    )
    lower = np.tril_indices(size, -1)
    for one, into in zip(found.reshape(-1, padded, padded), meats.reshape(-1, size, size), strict=True):
        whole = one[:size, :size]
        whole[lower] = whole.T[lower]
        into += whole
    return full


def split_rows(salt: int, first_row: int, limit: int, num_rows: int) -> tuple[Ints, Ints]:
    """Return the numbers of the rows that train and of those that validate, each ascending, in one array.

    Args:
        salt: 64 bits that are added to each row's number times the golden ratio.
        first_row: the number in its file of row 0.
        limit: a row validates whose hash is below it, of 2⁶⁴.
        num_rows: how many.

    """
    rows, spare = np.empty(num_rows + 1, np.int64), _spare(num_rows + 1)
    num_train = _call("split_rows")(
        _signed(salt), first_row, _signed(limit), num_rows, address_of(rows), address_of(spare)
    )
    rows = rows[:num_rows]
    return rows[:num_train], rows[num_train:]


def takes(kind: np.dtype[Any], into: np.dtype[Any]) -> bool:
    """Return whether `take_rows` takes numbers of one type into an array of another."""
    return kind in _FOLDS and into in _FOLDS


def take_rows(
    values_N: Array, order: Ints | None, length: int, listed: Ints | None, shift: float, out_M: Array
) -> bool:
    """Write chosen rows of a column less ``shift``, rounded to the type of ``out_M``.

    The difference is taken in float64, so the bits are those of numpy.

    Args:
        values_N: contiguous.
        order, length: runs of ``length`` rows each, in this order; the rows after them follow as they are.
        listed: row numbers instead, none of them out of range.
        shift: what is subtracted.
        out_M: contiguous, written.

    Returns:
        Whether all of the rows written are finite.

    """
    less = np.array([shift])
    runs = 0 if order is None else len(order)
    is_bad = _call(f"take_{values_N.dtype.name}_{out_M.dtype.name}")(
        address_of(values_N),
        len(out_M),
        0 if order is None else address_of(order),
        runs,
        length,
        0 if listed is None else address_of(listed),
        address_of(less),
        address_of(out_M),
    )
    return not is_bad


def column_spreads(z_ND: Array, w_N: Array | None) -> tuple[float, Floats, Floats]:
    """Return Σw, and the weighted mean and the sum of squared deviations of each column, (D,) each.

    Tiles of rows are summed around their own mean and merged in order, in float64.

    Args:
        z_ND: rows whose columns are contiguous, float32 or float64.
        w_N: row weights of the same type, not negative, contiguous; None means 1.

    """
    num_rows, width = z_ND.shape
    found = np.zeros(1 + 2 * width)
    if num_rows and width:
        _call(f"spread_{z_ND.dtype.name}")(
            address_of(z_ND),
            z_ND.strides[1],
            width,
            0 if w_N is None else address_of(w_N),
            num_rows,
            _SPREAD_ROWS,
            address_of(found),
        )
    return float(found[0]), found[1 : 1 + width], found[1 + width :]


def address_of(values: Array) -> int:
    """Return where the numbers of an array begin."""
    return int(values.__array_interface__["data"][0])


def _tile_shape(size: int) -> tuple[int, int]:
    """Return the columns of a tile of ``size`` columns and one of ones, and its rows."""
    padded = (size + 4) // 4 * 4
    return padded, max(64, min(_MOST_ROWS, _TILE_BYTES // (8 * padded) // 64 * 64))


def _scratch(padded: int, most: int) -> tuple[Floats, Floats]:
    """Return memory for a tile and a matrix, which this thread keeps: fresh memory costs a fault a page."""
    if getattr(_kept, "shape", None) == (padded, most):
        return _kept.memory  # type: ignore[no-any-return]
    memory = np.empty((padded + 1, most)), np.empty((padded, padded))
    if sum(array.size for array in memory) <= _KEPT_NUMBERS:
        _kept.shape, _kept.memory = (padded, most), memory
    return memory


def _spare(size: int) -> Ints:
    """Return memory for so many numbers or more, which this thread keeps."""
    kept: Ints | None = getattr(_kept, "spare", None)
    if kept is None or len(kept) < size:
        kept = np.empty(size, np.int64)
        if size <= _KEPT_NUMBERS:
            _kept.spare = kept
    return kept


def _signed(bits: int) -> int:
    return ctypes.c_int64(int(bits)).value


_loaded: dict[str, Callable[..., int]] = {}


def _call(name: str) -> Callable[..., int]:
    found = _loaded.get(name)
    if found is not None:
        return found
    from linreg_dist.kernels.objects import load_function

    with _loading:
        if name not in _loaded:
            _loaded[name] = load_function(name)
        return _loaded[name]
