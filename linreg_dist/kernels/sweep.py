"""Loss and gradient of a linear model over the rows of many steps, and the steps themselves, in one call.

A *piece* is a range of rows of one block. A step has a few dozen, and each large one is cut into strips, the
small ones are bundled: these are the *units* of work. A unit's sums are taken tile by tile, a tile being few
enough rows to stay in the core's cache between prediction and gradient; within a tile in the type of the
rows, over tiles in float64. Units are added in their order, whoever swept them. So the bits depend on the
rows and on how the step cuts them, not on threads and not on where the memory lies.

Threads share the units of all steps by one counter. Whoever ends the last unit of a step adds up, takes the
step and lets the next one begin; a thread that comes late finds less to do, and none waits for it.

Shape suffixes: D encoded columns, K targets, P pieces, U units, S steps, T rows of a tile.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from linreg_dist.kernels.compile import kernel, strict_kernel
from linreg_dist.kernels.memory import fetch_add, pointer, read_shared, write_shared, yield_core
from linreg_dist.kernels.units import ROWS, X_STRIDE, Y_STRIDE, W, X, Y, tile_rows
from linreg_dist.kernels.update import take_empty_step, take_step

# Counters that threads share, each on a cache line of its own: units claimed, units of the present step that
# are done, steps taken, and why no more are (0: they are all to be taken).
CLAIMED, DONE, TAKEN, STOPPED = 0, 8, 16, 24
CONTROL_SIZE = 32
DIVERGED = 1

_SPINS = 200


@kernel
def residuals(x: int, x_stride: int, y: int, rows: int, coef_D: Any, intercept: Any, residual_T: Any) -> None:
    """Write prediction less target of a tile's rows, for one target."""
    width = coef_D.shape[0]
    target = pointer(y, residual_T)
    for i in range(rows):
        residual_T[i] = intercept - target[i]
    d = 0
    while d + 4 <= width:
        c0, c1, c2, c3 = coef_D[d], coef_D[d + 1], coef_D[d + 2], coef_D[d + 3]
        x0 = pointer(x + d * x_stride, residual_T)
        x1 = pointer(x + (d + 1) * x_stride, residual_T)
        x2 = pointer(x + (d + 2) * x_stride, residual_T)
        x3 = pointer(x + (d + 3) * x_stride, residual_T)
        for i in range(rows):
            residual_T[i] += c0 * x0[i] + c1 * x1[i] + c2 * x2[i] + c3 * x3[i]
        d += 4
    while d < width:
        c0 = coef_D[d]
        x0 = pointer(x + d * x_stride, residual_T)
        for i in range(rows):
            residual_T[i] += c0 * x0[i]
        d += 1


@kernel
def sweep_tile(
    x: int,
    x_stride: int,
    y: int,
    y_stride: int,
    w: int,
    rows: int,
    coef_KD: Any,
    intercept_K: Any,
    epsilon_K: Any,
    is_huber: bool,
    residual_T: Any,
    slope_T: Any,
    sums: Any,
) -> None:
    """Add a tile's sums to ``sums``: Σw, then for each target Σ loss, Σ w r², Σ w ψ, then Σ w x ψ (K, D).

    r is prediction less target. squared: the loss is w r²/2, ψ = r. huber: ρ(r) = r ψ - ψ²/2 with ψ = r
    clamped to ±ε (Huber 1964, eq. 2.2).
    """
    num_targets, width = coef_KD.shape
    is_weighted = w != 0
    weights = pointer(w, residual_T)
    if is_weighted:
        weight = 0.0
        for i in range(rows):
            weight += weights[i]
        sums[0] += weight
    else:
        sums[0] += rows
    for k in range(num_targets):
        residuals(x, x_stride, y + k * y_stride, rows, coef_KD[k], intercept_K[k], residual_T)
        zero = intercept_K[k] - intercept_K[k]
        squared = zero
        total = zero
        if is_huber:
            excess = zero
            epsilon = epsilon_K[k]
            half = epsilon_K[k] / (epsilon_K[k] + epsilon_K[k])
            for i in range(rows):
                r = residual_T[i]
                psi = min(max(r, -epsilon), epsilon)
                if is_weighted:
                    weight_i = weights[i]
                    squared += weight_i * r * r
                    excess += weight_i * psi * (r - half * psi)
                    psi = weight_i * psi
                else:
                    squared += r * r
                    excess += psi * (r - half * psi)
                total += psi
                slope_T[i] = psi
            sums[1 + k] += excess
            slope = slope_T
        elif is_weighted:
            for i in range(rows):
                r = residual_T[i]
                psi = weights[i] * r
                squared += psi * r
                total += psi
                slope_T[i] = psi
            sums[1 + k] += 0.5 * squared
            slope = slope_T
        else:
            for i in range(rows):
                r = residual_T[i]
                squared += r * r
                total += r
            sums[1 + k] += 0.5 * squared
            slope = residual_T
        sums[1 + num_targets + k] += squared
        sums[1 + 2 * num_targets + k] += total
        gradient = sums[1 + 3 * num_targets + k * width : 1 + 3 * num_targets + (k + 1) * width]
        d = 0
        while d + 4 <= width:
            x0 = pointer(x + d * x_stride, residual_T)
            x1 = pointer(x + (d + 1) * x_stride, residual_T)
            x2 = pointer(x + (d + 2) * x_stride, residual_T)
            x3 = pointer(x + (d + 3) * x_stride, residual_T)
            g0 = g1 = g2 = g3 = zero
            for i in range(rows):
                s = slope[i]
                g0 += s * x0[i]
                g1 += s * x1[i]
                g2 += s * x2[i]
                g3 += s * x3[i]
            gradient[d] += g0
            gradient[d + 1] += g1
            gradient[d + 2] += g2
            gradient[d + 3] += g3
            d += 4
        while d < width:
            x0 = pointer(x + d * x_stride, residual_T)
            g0 = zero
            for i in range(rows):
                g0 += slope[i] * x0[i]
            gradient[d] += g0
            d += 1


@strict_kernel
def _widen(
    column: int, stride: int, count: int, like: Any, copy: int, wide: Any, wide_stride: int, rows: int
) -> None:
    """Copy ``rows`` numbers of each of ``count`` columns; row by row, because there are few of them."""
    itemsize = like.itemsize
    for i in range(rows):
        source = column + i * itemsize
        target = copy + i * 8
        for _ in range(count):
            pointer(target, wide)[0] = pointer(source, like)[0]
            source += stride
            target += wide_stride


@strict_kernel
def copy_small(pieces: Any, first: int, end: int, width: int, num_targets: int, like: Any, into: Any) -> int:
    """Copy small pieces side by side into ``into``, (D + K + 1, T) float64, and return their rows.

    In float64 the sums do not depend on which pieces lie together, so workers with other lanes find the same.
    """
    total = 0
    stride = 8 * into.shape[1]
    for p in range(first, end):
        rows = pieces[p, ROWS]
        copy = into.ctypes.data + 8 * total
        _widen(pieces[p, X], pieces[p, X_STRIDE], width, like, copy, into, stride, rows)
        copy += width * stride
        _widen(pieces[p, Y], pieces[p, Y_STRIDE], num_targets, like, copy, into, stride, rows)
        if pieces[p, W] != 0:
            _widen(pieces[p, W], 0, 1, like, copy + num_targets * stride, into, stride, rows)
        total += rows
    return total


@strict_kernel
def sweep_unit(
    pieces: Any,
    unit: Any,
    plane: Any,
    narrow: Any,
    is_huber: bool,
    residual_T: Any,
    slope_T: Any,
    wide_residual_T: Any,
    wide_slope_T: Any,
    beside: Any,
    sums: Any,
) -> None:
    """Write a unit's sums to ``sums``, see `sweep_tile`."""
    sums[:] = 0.0
    num_targets, width = plane[0].shape
    first = unit[0]
    if unit[2] < 0:
        rows = copy_small(pieces, first, unit[1], width, num_targets, residual_T, beside)
        stride = beside.shape[1] * 8
        base = beside.ctypes.data
        w = base + (width + num_targets) * stride if pieces[first, W] != 0 else 0
        sweep_tile(
            base,
            stride,
            base + width * stride,
            stride,
            w,
            rows,
            plane[0],
            plane[1],
            plane[2],
            is_huber,
            wide_residual_T,
            wide_slope_T,
            sums,
        )
        return
    itemsize = residual_T.itemsize
    most = tile_rows(width + num_targets, itemsize)
    rows = unit[3] - unit[2]
    tiles = (rows + most - 1) // most
    for i in range(tiles):
        low = unit[2] + rows * i // tiles
        high = unit[2] + rows * (i + 1) // tiles
        skip = low * itemsize
        sweep_tile(
            pieces[first, X] + skip,
            pieces[first, X_STRIDE],
            pieces[first, Y] + skip,
            pieces[first, Y_STRIDE],
            pieces[first, W] + skip if pieces[first, W] != 0 else 0,
            high - low,
            narrow[0],
            narrow[1],
            narrow[2],
            is_huber,
            residual_T,
            slope_T,
            sums,
        )


@strict_kernel
def add_units(parts: Any, count: int, sums: Any) -> None:
    """Add the units' sums in their order."""
    sums[:] = 0.0
    for u in range(count):
        for j in range(sums.shape[0]):
            sums[j] += parts[u, j]


@strict_kernel
def run_steps(
    control: Any,
    pieces: Any,
    units: Any,
    unit_ptr: Any,
    plane: Any,
    narrow: Any,
    is_huber: bool,
    has_small: bool,
    parts: Any,
    sums: Any,
    rule: Any,
    state: Any,
    rates: Any,
) -> None:
    """Sweep steps one after another, and take each; any number of threads call it with the same arguments.

    It returns when there is no unit left to claim: the last step is taken when `TAKEN` says so.

    Args:
        control: (32,) int64 of zeros, but for `TAKEN`: as many steps as have no unit before the first that
            has one.
        pieces, units, unit_ptr: what `cut_units` made.
        plane: (K, D) coefficients, (K,) intercepts and (K,) ε of Huber, float64, C-contiguous.
        narrow: the same in the type of the rows.
        is_huber: else squared.
        has_small: whether any unit bundles small pieces.
        parts: (units of the largest step, 1 + K (3 + D)) float64, scratch.
        sums: (1 + K (3 + D),) float64, the last step's sums.
        rule, state, rates: see `take_step`; with ``rule.kind`` < 0 no step is taken.

    """
    num_steps = unit_ptr.shape[0] - 1
    num_targets, width = plane[0].shape
    most = tile_rows(width + num_targets, narrow[0].itemsize)
    wide_most = tile_rows(width + num_targets, 8)
    residual_T = np.empty(most, narrow[0].dtype)
    slope_T = np.empty(most, narrow[0].dtype)
    wide_residual_T = np.empty(wide_most, np.float64)
    wide_slope_T = np.empty(wide_most, np.float64)
    beside = np.empty((width + num_targets + 1, wide_most if has_small else 1), np.float64)
    base = control.ctypes.data
    claimed, done = base + 8 * CLAIMED, base + 8 * DONE
    taken, stopped = base + 8 * TAKEN, base + 8 * STOPPED
    end = unit_ptr[num_steps]
    step = 0
    while True:
        unit = fetch_add(claimed, 1)
        if unit >= end:
            return
        while unit >= unit_ptr[step + 1]:
            step += 1
        spins = 0
        while read_shared(taken) < step:
            if read_shared(stopped) != 0:
                return
            spins += 1
            if spins > _SPINS:
                yield_core()
        first = unit_ptr[step]
        sweep_unit(
            pieces,
            units[unit],
            plane,
            narrow,
            is_huber,
            residual_T,
            slope_T,
            wide_residual_T,
            wide_slope_T,
            beside,
            parts[unit - first],
        )
        count = unit_ptr[step + 1] - first
        if fetch_add(done, 1) + 1 < count:
            continue
        add_units(parts, count, sums)
        write_shared(done, 0)
        if rule[0] >= 0 and not take_step(sums, rule, state, rates[step], plane, narrow):
            write_shared(stopped, DIVERGED)
            return
        ended = step + 1
        while ended < num_steps and unit_ptr[ended + 1] == unit_ptr[ended]:
            take_empty_step(rule, state)
            ended += 1
        write_shared(taken, ended)


@strict_kernel
def sweep_all(
    claimed: Any,
    first: int,
    end: int,
    pieces: Any,
    units: Any,
    plane: Any,
    narrow: Any,
    is_huber: bool,
    has_small: bool,
    parts: Any,
) -> None:
    """Sweep units ``first`` … ``end`` into a row of ``parts`` each, under one model; any number of threads
    call it with the same arguments, and share the units by the counter ``claimed``, (1,) int64, from 0 on.
    """
    num_targets, width = plane[0].shape
    most = tile_rows(width + num_targets, narrow[0].itemsize)
    wide_most = tile_rows(width + num_targets, 8)
    scratch = np.empty((2, most), narrow[0].dtype)
    wide = np.empty((2, wide_most), np.float64)
    beside = np.empty((width + num_targets + 1, wide_most if has_small else 1), np.float64)
    while True:
        unit = first + fetch_add(claimed.ctypes.data, 1)
        if unit >= end:
            return
        sweep_unit(
            pieces,
            units[unit],
            plane,
            narrow,
            is_huber,
            scratch[0],
            scratch[1],
            wide[0],
            wide[1],
            beside,
            parts[unit - first],
        )
