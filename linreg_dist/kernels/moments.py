"""Shifted sums and products of columns in float64, one pass over ranges of rows, natively.

A tile of rows is converted to float64, shifted and multiplied while it is in the core's cache: a register
block of 4 x 4 columns at a time, of the symmetric half alone. Nothing but the tile is held.

Shape suffixes: D features, K targets, Z = D + K columns, P > Z padded to a multiple of 4, T rows of a tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from linreg_dist.kernels.compile import kernel, strict_kernel
from linreg_dist.kernels.memory import pointer
from linreg_dist.kernels.units import X_STRIDE, Y_STRIDE, W, X, Y

_TILE_BYTES = 1 << 17
_MOST_ROWS = 512


@kernel
def _block(tile_PT: Any, rows: int, gram_PP: Any, i: int, j: int) -> None:
    """Add the products of columns i … i + 3 with columns j … j + 3."""
    a0, a1, a2, a3 = tile_PT[i], tile_PT[i + 1], tile_PT[i + 2], tile_PT[i + 3]
    b0, b1, b2, b3 = tile_PT[j], tile_PT[j + 1], tile_PT[j + 2], tile_PT[j + 3]
    s00 = s01 = s02 = s03 = s10 = s11 = s12 = s13 = 0.0
    s20 = s21 = s22 = s23 = s30 = s31 = s32 = s33 = 0.0
    for t in range(rows):
        x0, x1, x2, x3 = a0[t], a1[t], a2[t], a3[t]
        y0, y1, y2, y3 = b0[t], b1[t], b2[t], b3[t]
        s00 += x0 * y0
        s01 += x0 * y1
        s02 += x0 * y2
        s03 += x0 * y3
        s10 += x1 * y0
        s11 += x1 * y1
        s12 += x1 * y2
        s13 += x1 * y3
        s20 += x2 * y0
        s21 += x2 * y1
        s22 += x2 * y2
        s23 += x2 * y3
        s30 += x3 * y0
        s31 += x3 * y1
        s32 += x3 * y2
        s33 += x3 * y3
    gram_PP[i, j] += s00
    gram_PP[i, j + 1] += s01
    gram_PP[i, j + 2] += s02
    gram_PP[i, j + 3] += s03
    gram_PP[i + 1, j] += s10
    gram_PP[i + 1, j + 1] += s11
    gram_PP[i + 1, j + 2] += s12
    gram_PP[i + 1, j + 3] += s13
    gram_PP[i + 2, j] += s20
    gram_PP[i + 2, j + 1] += s21
    gram_PP[i + 2, j + 2] += s22
    gram_PP[i + 2, j + 3] += s23
    gram_PP[i + 3, j] += s30
    gram_PP[i + 3, j + 1] += s31
    gram_PP[i + 3, j + 2] += s32
    gram_PP[i + 3, j + 3] += s33


@kernel
def _take(
    column: int, rows: int, shift: float, root_T: Any, is_weighted: bool, like: Any, into_T: Any
) -> None:
    values = pointer(column, like)
    if is_weighted:
        for t in range(rows):
            into_T[t] = (values[t] - shift) * root_T[t]
    else:
        for t in range(rows):
            into_T[t] = values[t] - shift


@strict_kernel
def fold_columns(piece: Any, spans: Any, shift_Z: Any, num_features: int, like: Any, gram_PP: Any) -> None:
    """Add Σ w (z - shift)(z - shift)' and, in column Z, Σ w (z - shift), to the upper half of ``gram_PP``.

    Args:
        piece: (6,) int64, see `linreg_dist.kernels.sweep`: the block.
        spans: (S, 2) int64, half-open ranges of its rows.
        shift_Z: float64.
        num_features: D.
        like: an array of the type of the rows.
        gram_PP: float64, what lies below the diagonal blocks is left as it is.

    """
    size = shift_Z.shape[0]
    padded = gram_PP.shape[0]
    most = max(64, min(_MOST_ROWS, _TILE_BYTES // (8 * padded) // 64 * 64))
    tile_PT = np.zeros((padded, most), np.float64)
    root_T = np.ones(most, np.float64)
    tile_PT[size, :] = 1.0
    is_weighted = piece[W] != 0
    itemsize = like.itemsize
    weights = pointer(piece[W], like)
    # Ranges share a tile, so that many short ones cost no more than a long one.
    span = 0
    at = spans[0, 0] if spans.shape[0] > 0 else 0
    while span < spans.shape[0]:
        filled = 0
        while filled < most and span < spans.shape[0]:
            rows = min(spans[span, 1] - at, most - filled)
            if is_weighted:
                for t in range(rows):
                    root_T[filled + t] = np.sqrt(np.float64(weights[at + t]))
                    tile_PT[size, filled + t] = root_T[filled + t]
            skip = at * itemsize
            for z in range(size):
                column = (
                    piece[X] + z * piece[X_STRIDE]
                    if z < num_features
                    else piece[Y] + (z - num_features) * piece[Y_STRIDE]
                )
                _take(
                    column + skip,
                    rows,
                    shift_Z[z],
                    root_T[filled:],
                    is_weighted,
                    like,
                    tile_PT[z, filled:],
                )
            filled += rows
            at += rows
            if at >= spans[span, 1]:
                span += 1
                if span < spans.shape[0]:
                    at = spans[span, 0]
        for i in range(0, padded, 4):
            for j in range(i, padded, 4):
                _block(tile_PT, filled, gram_PP, i, j)
