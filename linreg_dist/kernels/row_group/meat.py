"""Sums of the robust covariances over some rows: HC0 to HC3 and cluster scores, by one native call.

The formulas are those of `linreg_dist.stats.robust`, where their sources stand. Shape suffixes: P features,
K targets, R orthonormal coordinates u of a row (one of them may be a constant), T rows of a tile.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from linreg_dist.kernels.compile import plain_kernel, plain_strict_kernel
from linreg_dist.kernels.memory import float32_at, float64_at, int64_at
from linreg_dist.kernels.moments import _block

LEVERAGE_ATOL = 1e-10


@plain_kernel
def _add_times(factor: float, source: int, rows: int, into: int) -> None:
    values, out = float64_at(source), float64_at(into)
    for t in range(rows):
        out[t] += factor * values[t]


@plain_kernel
def _add_four(factors: int, stride: int, sources: int, wide: int, rows: int, into: int) -> None:
    """Add four columns, each times its factor; factors lie ``stride`` numbers apart."""
    by, out = float64_at(factors), float64_at(into)
    f0, f1, f2, f3 = by[0], by[stride], by[2 * stride], by[3 * stride]
    a0, a1 = float64_at(sources), float64_at(sources + wide)
    a2, a3 = float64_at(sources + 2 * wide), float64_at(sources + 3 * wide)
    for t in range(rows):
        out[t] += f0 * a0[t] + f1 * a1[t] + f2 * a2[t] + f3 * a3[t]


@plain_kernel
def _combine(factors: int, stride: int, size: int, sources: int, wide: int, rows: int, into: int) -> None:
    """Add ``size`` columns, each times its factor."""
    p = 0
    while p + 4 <= size:
        _add_four(factors + p * stride * 8, stride, sources + p * wide, wide, rows, into)
        p += 4
    while p < size:
        _add_times(float64_at(factors)[p * stride], sources + p * wide, rows, into)
        p += 1


@plain_kernel
def _dot(a: int, b: int, rows: int) -> float:
    left, right, total = float64_at(a), float64_at(b), 0.0
    for t in range(rows):
        total += left[t] * right[t]
    return total


@plain_kernel
def _multiply(a: int, b: int, rows: int, into: int) -> None:
    left, right, out = float64_at(a), float64_at(b), float64_at(into)
    for t in range(rows):
        out[t] = left[t] * right[t]


@plain_kernel
def _add_squares(source: int, rows: int, into: int) -> None:
    values, out = float64_at(source), float64_at(into)
    for t in range(rows):
        out[t] += values[t] * values[t]


@plain_strict_kernel
def _leave_out(leverage: int, weights: int, is_analytic: int, rows: int) -> int:
    """Turn ‖u‖² into 1 - h, and into 1 for rows that are fitted exactly; return how many of these."""
    rest, w = float64_at(leverage), float64_at(weights)
    full = 0
    for t in range(rows):
        h = rest[t]
        if is_analytic != 0:
            h *= w[t]
        if w[t] <= 0.0:
            h = 0.0
        rest[t] = 1.0 - h
        if rest[t] < LEVERAGE_ATOL:
            rest[t] = 1.0
            full += 1
    return full


@plain_strict_kernel
def _sizes(error: int, weights: int, rest: int, is_analytic: int, power: int, rows: int, into: int) -> None:
    """Write the square root of what a row weighs in a meat."""
    e, w, r, out = float64_at(error), float64_at(weights), float64_at(rest), float64_at(into)
    for t in range(rows):
        size = abs(e[t])
        if is_analytic != 0:
            size *= w[t]
        else:
            size *= np.sqrt(w[t])
        if power == 1:
            size /= np.sqrt(r[t])
        elif power == 2:
            size /= r[t]
        out[t] = size


def _meat_for(values_at: Any, itemsize: int) -> Callable[..., int]:
    @plain_kernel
    def take(column: int, rows: int, less: float, into: int) -> None:
        values, wide = values_at(column), float64_at(into)
        for t in range(rows):
            wide[t] = np.float64(values[t]) - less

    def meat(
        columns: int,
        w: int,
        codes: int,
        shape: int,
        mean: int,
        coef: int,
        to_u: int,
        powers: int,
        scratch: int,
        residual: int,
        gradient: int,
        meats: int,
        scores: int,
    ) -> int:
        """Add a row group's rows to the sums, and return how many of them have leverage 1.

        All arguments are int64; see `linreg_dist.kernels.calls.add_meats`, which makes them.
        """
        sizes = int64_at(shape)
        num_rows, width, targets, size = sizes[0], sizes[1], sizes[2], sizes[3]
        padded, most, kinds, constant = sizes[4], sizes[5], sizes[6], sizes[7]
        is_analytic, wide = sizes[8], sizes[5] * 8
        addresses, means, power = int64_at(columns), float64_at(mean), int64_at(powers)
        # One after another: centred (P), u and u times a size (R, padded), errors (K), then four rows.
        u = scratch + width * wide
        scaled = u + padded * wide
        errors = scaled + padded * wide
        weights = errors + targets * wide
        weighted, rest, by = weights + wide, weights + 2 * wide, weights + 3 * wide
        residuals, gradients = float64_at(residual), float64_at(gradient)
        full = 0
        for i in range(2 * padded * most):
            float64_at(u)[i] = 0.0
        for at in range(0, num_rows, most):
            rows = min(most, num_rows - at)
            for p in range(width):
                take(addresses[p] + at * itemsize, rows, means[p], scratch + p * wide)
            if w != 0:
                take(w + at * itemsize, rows, 0.0, weights)
            else:
                for t in range(rows):
                    float64_at(weights)[t] = 1.0
            for k in range(targets):
                error = errors + k * wide
                take(addresses[width + k] + at * itemsize, rows, means[width + k], error)
                _combine(coef + k * width * 8, 1, width, scratch, wide, rows, error)  # of the sign reversed
            for t in range(rows):
                float64_at(rest)[t] = 0.0
            for r in range(size):
                row = float64_at(u + r * wide)
                if constant != 0 and r == 0:
                    for t in range(rows):
                        row[t] = means[width + targets]
                else:
                    for t in range(rows):
                        row[t] = 0.0
                    place = r - int(constant != 0)
                    apart = size - int(constant != 0)
                    _combine(to_u + place * 8, apart, width, scratch, wide, rows, u + r * wide)
                _add_squares(u + r * wide, rows, rest)
            full += _leave_out(rest, weights, is_analytic, rows)
            for k in range(targets):
                error = errors + k * wide
                _multiply(error, weights, rows, weighted)
                residuals[k] += _dot(weighted, error, rows)
                for r in range(size):
                    gradients[k * size + r] += _dot(weighted, u + r * wide, rows)
                for kind in range(kinds):
                    _sizes(error, weights, rest, is_analytic, power[kind], rows, by)
                    for r in range(size):
                        _multiply(u + r * wide, by, rows, scaled + r * wide)
                    gram = meats + (kind * targets + k) * padded * padded * 8
                    for i in range(0, padded, 4):
                        for j in range(i, padded, 4):
                            _block(scaled, most, rows, gram, padded, i, j)
                if codes != 0:
                    group, score = int64_at(codes + at * 8), float64_at(scores)
                    for t in range(rows):
                        into = (group[t] * targets + k) * size
                        for r in range(size):
                            score[into + r] += float64_at(weighted)[t] * float64_at(u + r * wide)[t]
        return full

    return plain_strict_kernel(meat)


meat_float32, meat_float64 = _meat_for(float32_at, 4), _meat_for(float64_at, 8)
