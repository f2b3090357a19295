"""The hot loop of the exact solver: float64 sums of a shifted Gram matrix, one pass over a block.

The shapes are unusual for BLAS: k (rows) is long and Z (columns) is short. So the block is taken in slices
that stay in the L2 cache: a slice is widened to float64, shifted and multiplied before it leaves the cache,
and main memory is read once, in the precision in which the data are stored. Everything is a torch
operation: it releases the GIL, runs on CPU and GPU from the same lines, and uses as many threads as torch
is given in the calling thread.

Legend: N rows, D features, K targets, Z = D + K, S rows of one slice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

# Bytes of the float64 scratch slice. Measured on an AVX-512 core with 1 MiB of L2 (float32 columns, mean 0,
# one thread, the best panels for each), Mrow/s:
#            Z = 9    33    129    257
#   0.5 MiB     52   8.1   1.21   0.41
#     1 MiB     56   9.1   1.34   0.43
#     2 MiB     65   9.4   1.39   0.43
#     4 MiB     70   8.6   1.47   0.46
# 2 MiB is near the best everywhere and leaves the last-level cache to the decoder beside us.
SLICE_BYTES = 2 << 20

# On a GPU a slice must be long enough to fill the device; it is a bound on scratch memory, not a cache size.
GPU_SLICE_BYTES = 256 << 20

# A Gram matrix is symmetric and torch has no `syrk`: row panels of the upper triangle save up to half of the
# multiplications, Z = 257: 0.30 -> 0.43 Mrow/s. Narrower panels lose more in GEMM efficiency than they save.
PANEL_COLUMNS, NARROW_PANEL_COLUMNS = 32, 16
_NARROW = 64

_LONG_PIECE = 1024  # rows of a range that is worth a copy of its own

_MIN_SLICE_ROWS = 256
_PILOT_ROWS = 256


def slice_rows(num_columns: int, device: torch.device) -> int:
    """Return how many rows of ``num_columns`` float64 values fill one scratch slice on ``device``."""
    budget = SLICE_BYTES if device.type == "cpu" else GPU_SLICE_BYTES
    return max(_MIN_SLICE_ROWS, budget // (8 * max(num_columns, 1)) // 64 * 64)


def pilot_shift(x_ND: torch.Tensor, y_NK: torch.Tensor) -> torch.Tensor:
    """Return a cheap float64 guess of the column means, (Z,): the mean of at most 256 evenly spaced rows.

    Any shift gives the same moments in exact arithmetic; one near the mean keeps the digits that
    ``X'X - n m m'`` would cancel. A constant column gets exactly its value, so its variance comes out
    exactly zero. Where no column's mean is larger than its standard deviation there is but one bit to lose,
    and the shift is zero, which costs nothing to subtract.
    """
    step = max(1, -(-x_ND.shape[0] // _PILOT_ROWS))
    sample_SZ = torch.cat([x_ND[::step].double(), y_NK[::step].double()], dim=1)
    first_Z = sample_SZ[0]
    centred_SZ = sample_SZ - first_Z
    mean_Z = centred_SZ.mean(dim=0)
    shift_Z = first_Z + mean_Z
    spread_Z = (centred_SZ - mean_Z).square().mean(dim=0).sqrt()
    return torch.zeros_like(shift_Z) if bool((shift_Z.abs() <= spread_Z).all()) else shift_Z


def shifted_sums(
    x_ND: torch.Tensor,
    y_NK: torch.Tensor,
    shift_Z: torch.Tensor,
    w_N: torch.Tensor | None = None,
    spans: Sequence[tuple[int, int]] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ``Σ w (z - shift)(z - shift)'`` and ``Σ w (z - shift)`` of the rows z = [x, y], in float64.

    Args:
        x_ND: features, any real dtype; fastest when column-major (strides (1, N)).
        y_NK: targets, likewise, on the same device.
        shift_Z: the point to sum around, float64, (D + K,).
        w_N: row weights, finite and not negative; None means 1.
        spans: half-open ranges of the rows to sum; None means all.

    Returns:
        gram_ZZ (symmetric) and sum_Z, float64, on the device of ``x_ND``.

    """
    num_features = x_ND.shape[1]
    num_columns = num_features + y_NK.shape[1]
    device = x_ND.device
    spans = [(0, x_ND.shape[0])] if spans is None else spans
    step = min(slice_rows(num_columns, device), max(sum(stop - start for start, stop in spans), 1))
    scratch_ZS = torch.empty((num_columns, step), dtype=torch.float64, device=device)
    gram_ZZ = torch.zeros((num_columns, num_columns), dtype=torch.float64, device=device)
    sum_Z = torch.zeros(num_columns, dtype=torch.float64, device=device)
    shift_Z1 = shift_Z[:, None]
    is_shifted = bool(shift_Z.any())
    beside_ZS = torch.empty((num_columns, step if len(spans) > 1 else 0), dtype=x_ND.dtype, device=device)
    for pieces in _slices(spans, step):
        filled = sum(stop - start for start, stop in pieces)
        # copy_ then sub_ beats one mixed-dtype subtraction: the widening copy is vectorised, the rest is in
        # cache.
        _copy_columns(scratch_ZS[:num_features, :filled], x_ND.T, pieces, beside_ZS[:num_features])
        _copy_columns(scratch_ZS[num_features:, :filled], y_NK.T, pieces, beside_ZS[num_features:])
        z_ZS = scratch_ZS[:, :filled]
        if is_shifted:
            z_ZS.sub_(shift_Z1)
        if w_N is None:
            sum_Z += z_ZS.sum(dim=1)
        else:
            # √w on both factors keeps the product symmetric and needs no second scratch slice.
            root_w_S = torch.cat([w_N[start:stop] for start, stop in pieces]).double().sqrt()
            z_ZS.mul_(root_w_S)
            sum_Z += z_ZS @ root_w_S
        _add_upper_gram(gram_ZZ, z_ZS)
    gram_ZZ.triu_()
    gram_ZZ += gram_ZZ.triu(1).T
    return gram_ZZ, sum_Z


def native_sums(
    x_ND: torch.Tensor,
    y_NK: torch.Tensor,
    shift_Z: torch.Tensor,
    w_N: torch.Tensor | None = None,
    spans: Sequence[tuple[int, int]] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what `shifted_sums` does, by one native call where the columns are contiguous floats."""
    tensors = [x_ND, y_NK, *([] if w_N is None else [w_N])]
    if not _is_plain(tensors):
        return shifted_sums(x_ND, y_NK, shift_Z, w_N, spans)
    from linreg_dist.kernels.moments import fold_columns

    size, itemsize = len(shift_Z), x_ND.element_size()
    num_rows = x_ND.shape[0]
    strides = x_ND.stride(1) * itemsize, y_NK.stride(1) * itemsize
    w = 0 if w_N is None else w_N.data_ptr()
    piece = np.array([x_ND.data_ptr(), strides[0], y_NK.data_ptr(), strides[1], w, num_rows], dtype=np.int64)
    ranges = np.array([(0, num_rows)] if spans is None else spans, dtype=np.int64).reshape(-1, 2)
    padded = (size + 4) // 4 * 4
    gram_PP = np.zeros((padded, padded))
    like = x_ND[:0, 0].numpy()
    fold_columns(piece, ranges, shift_Z.numpy(), x_ND.shape[1], like, gram_PP)
    gram_ZZ = torch.from_numpy(gram_PP[:size, :size]).triu()
    return gram_ZZ + gram_ZZ.triu(1).T, torch.from_numpy(gram_PP[:size, size].copy())


def _is_plain(tensors: Sequence[torch.Tensor]) -> bool:
    dtype, num_rows = tensors[0].dtype, tensors[0].shape[0]
    return dtype in (torch.float32, torch.float64) and all(
        tensor.dtype == dtype and (num_rows < 2 or tensor.stride(0) == 1) and tensor.numel() > 0
        for tensor in tensors
    )


def _copy_columns(
    into_DS: torch.Tensor,
    matrix_DN: torch.Tensor,
    pieces: Sequence[tuple[int, int]],
    buffer_DS: torch.Tensor,
) -> None:
    """Copy ranges of columns side by side into ``into_DS``, with its type.

    Short ranges are first put side by side in their own type, in ``buffer_DS`` if that is its type too: few
    wide copies cost less than many short ones.
    """
    views = [matrix_DN.narrow(1, start, stop - start) for start, stop in pieces]
    filled = into_DS.shape[1]
    if filled >= _LONG_PIECE * len(views) or len(views) == 1:
        filled = 0
        for view in views:
            into_DS.narrow(1, filled, view.shape[1]).copy_(view)
            filled += view.shape[1]
    elif buffer_DS.dtype == matrix_DN.dtype:
        into_DS.copy_(torch.cat(views, dim=1, out=buffer_DS[:, :filled]))
    else:
        into_DS.copy_(torch.cat(views, dim=1))


def _slices(spans: Sequence[tuple[int, int]], step: int) -> Iterator[list[tuple[int, int]]]:
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


def _add_upper_gram(gram_ZZ: torch.Tensor, z_ZS: torch.Tensor) -> None:
    """Add ``z z'`` to ``gram_ZZ`` in row panels; what lies below the diagonal panels is left as it is."""
    num_columns = z_ZS.shape[0]
    width = NARROW_PANEL_COLUMNS if num_columns <= _NARROW else PANEL_COLUMNS
    for start in range(0, num_columns, width):
        panel_PS = z_ZS[start : start + width]
        gram_ZZ[start : start + width, start:].addmm_(panel_PS, z_ZS[start:].T)
