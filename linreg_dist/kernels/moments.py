"""Shifted sums and products of columns, and their means and spreads, in float64, natively.

A tile of rows is converted to float64, shifted and multiplied while it is in the core's cache: a register
block of 4 x 4 columns at a time, of the symmetric half alone. Nothing but the tile is held, and the caller
gives the memory for it, so that the machine code needs nothing but itself.

Shape suffixes: Z columns, features and targets, P > Z padded to a multiple of 4, T rows of a tile, M rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from linreg_dist.kernels.compile import plain_kernel, plain_strict_kernel
from linreg_dist.kernels.memory import float32_at, float64_at, int64_at


@plain_kernel
def _block(tile: int, most: int, rows: int, gram: int, padded: int, i: int, j: int) -> None:
    """Add the products of columns i … i + 3 with columns j … j + 3."""
    wide = most * 8
    a0, a1 = float64_at(tile + i * wide), float64_at(tile + (i + 1) * wide)
    a2, a3 = float64_at(tile + (i + 2) * wide), float64_at(tile + (i + 3) * wide)
    b0, b1 = float64_at(tile + j * wide), float64_at(tile + (j + 1) * wide)
    b2, b3 = float64_at(tile + (j + 2) * wide), float64_at(tile + (j + 3) * wide)
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
    g0, g1 = float64_at(gram + 8 * (i * padded + j)), float64_at(gram + 8 * ((i + 1) * padded + j))
    g2, g3 = float64_at(gram + 8 * ((i + 2) * padded + j)), float64_at(gram + 8 * ((i + 3) * padded + j))
    g0[0] += s00
    g0[1] += s01
    g0[2] += s02
    g0[3] += s03
    g1[0] += s10
    g1[1] += s11
    g1[2] += s12
    g1[3] += s13
    g2[0] += s20
    g2[1] += s21
    g2[2] += s22
    g2[3] += s23
    g3[0] += s30
    g3[1] += s31
    g3[2] += s32
    g3[3] += s33


@plain_kernel
def _finish(into: int, rows: int, shift: float, root: int) -> None:
    """Shift the numbers of a tile's column and, where ``root`` is an address, multiply them by it."""
    values, roots = float64_at(into), float64_at(root)
    if root != 0:
        for t in range(rows):
            values[t] = (values[t] - shift) * roots[t]
    elif shift != 0.0:
        for t in range(rows):
            values[t] = values[t] - shift


def _fold_for(values_at: Any, itemsize: int) -> Callable[..., None]:
    @plain_kernel
    def take(column: int, rows: int, into: int) -> None:
        values, wide = values_at(column), float64_at(into)
        for t in range(rows):
            wide[t] = np.float64(values[t])

    @plain_kernel
    def take_listed(column: int, listed: int, rows: int, into: int) -> None:
        values, chosen, wide = values_at(column), int64_at(listed), float64_at(into)
        for t in range(rows):
            wide[t] = np.float64(values[chosen[t]])

    def fold(
        columns: int,
        size: int,
        w: int,
        first: int,
        end: int,
        listed: int,
        shift: int,
        tile: int,
        most: int,
        gram: int,
        padded: int,
    ) -> None:
        """Add Σ w (z - shift)(z - shift)' and, in column Z, Σ w (z - shift), to a matrix of zeros.

        All arguments are int64; see `linreg_dist.kernels.calls.fold_rows`, which makes them.
        """
        addresses, shifts = int64_at(columns), float64_at(shift)
        ones = tile + size * most * 8
        root = 0
        if w != 0:
            root = tile + padded * most * 8
        roots, counts = float64_at(root), float64_at(ones)
        for at in range(first, end, most):
            rows = min(most, end - at)
            if w != 0:
                if listed != 0:
                    take_listed(w, listed + at * 8, rows, root)
                else:
                    take(w + at * itemsize, rows, root)
                for t in range(rows):
                    roots[t] = np.sqrt(roots[t])
                    counts[t] = roots[t]
            for z in range(size):
                into = tile + z * most * 8
                if listed != 0:
                    take_listed(addresses[z], listed + at * 8, rows, into)
                else:
                    take(addresses[z] + at * itemsize, rows, into)
                _finish(into, rows, shifts[z], root)
            for i in range(0, padded, 4):
                for j in range(i, padded, 4):
                    _block(tile, most, rows, gram, padded, i, j)
        sums = float64_at(gram)
        for i in range(size):
            for j in range(i):
                sums[i * padded + j] = sums[j * padded + i]

    return plain_strict_kernel(fold)


fold_float32, fold_float64 = _fold_for(float32_at, 4), _fold_for(float64_at, 8)


def _spread_for(values_at: Any, itemsize: int) -> Callable[..., int]:
    @plain_kernel
    def total_of(column: int, w: int, rows: int, near: float) -> float:
        values, weights, total = values_at(column), values_at(w), 0.0
        if w != 0:
            for t in range(rows):
                total += np.float64(weights[t]) * (np.float64(values[t]) - near)
        else:
            for t in range(rows):
                total += np.float64(values[t]) - near
        return total

    @plain_kernel
    def squares_of(column: int, w: int, rows: int, center: float) -> float:
        values, weights, total = values_at(column), values_at(w), 0.0
        if w != 0:
            for t in range(rows):
                from_center = np.float64(values[t]) - center
                total += np.float64(weights[t]) * from_center * from_center
        else:
            for t in range(rows):
                from_center = np.float64(values[t]) - center
                total += from_center * from_center
        return total

    @plain_kernel
    def weight_of(w: int, rows: int) -> float:
        weights, total = values_at(w), 0.0
        for t in range(rows):
            total += np.float64(weights[t])
        return total

    def spread(columns: int, stride: int, size: int, w: int, num_rows: int, most: int, found: int) -> int:
        """Write Σw, the weighted means and the sums of squared deviations of columns.

        All arguments are int64; see `linreg_dist.kernels.calls.column_spreads`, which makes them.
        """
        out = float64_at(found)
        for z in range(size):
            all_weight = mean = squares = 0.0
            for at in range(0, num_rows, most):
                rows = min(most, num_rows - at)
                column, weights = columns + z * stride + at * itemsize, 0
                weight, first = float(rows), 0
                if w != 0:
                    weights = w + at * itemsize
                    weight = weight_of(weights, rows)
                    if weight == 0.0:
                        continue
                    while values_at(weights)[first] == 0.0:
                        first += 1
                near = np.float64(values_at(column)[first])
                center = near + total_of(column, weights, rows, near) / weight
                tile = squares_of(column, weights, rows, center)
                # Chan, Golub & LeVeque (1983), eq. 2.1.
                together = all_weight + weight
                away = center - mean
                squares += tile + away * away * (all_weight * weight / together)
                mean += away * (weight / together)
                all_weight = together
            out[0] = all_weight
            out[1 + z] = mean
            out[1 + size + z] = squares
        return 0

    return plain_strict_kernel(spread)


spread_float32, spread_float64 = _spread_for(float32_at, 4), _spread_for(float64_at, 8)
