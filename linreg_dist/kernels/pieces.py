"""The pieces of many steps, from the plan of an epoch, natively: `EpochPlan.slices` and `Slice.spans` in one.

Shape suffixes: L lanes of this worker, G their row groups, P pieces, S steps.
"""

from __future__ import annotations

from typing import Any

from linreg_dist.kernels.compile import strict_kernel
from linreg_dist.kernels.units import ROWS, X_STRIDE, Y_STRIDE, W, X, Y


@strict_kernel
def plan_pieces(
    steps: int,
    first: int,
    end: int,
    lanes: Any,
    groups: Any,
    parts: Any,
    blocks: Any,
    pieces: Any,
    step_ptr: Any,
) -> int:
    """List the pieces of steps ``first`` … ``end`` and return how many there are.

    Args:
        steps: of the epoch.
        first, end: half-open range of steps.
        lanes: (L, 4) int64: rows, the offset of its turn, its first and end row group.
        groups: (G, 4) int64: the lane's row at which it begins, its rows, its first and end part.
        parts: (·, 2) int64: where each part of a row group ends, and by how much it moved.
        blocks: (G, 7) int64: a piece of all training rows (`linreg_dist.kernels.sweep`) and bytes a number;
            only those that the steps need have to be filled.
        pieces: (≥ P, 6) int64, filled; pass no rows to be told P.
        step_ptr: (S + 1,) int64, filled.

    """
    fills = pieces.shape[0] > 0
    count = 0
    for s in range(first, end):
        step_ptr[s - first] = count
        for lane in range(lanes.shape[0]):
            total, offset = lanes[lane, 0], lanes[lane, 1]
            begin = (total * s + offset) // steps
            stop = (total * (s + 1) + offset) // steps
            if begin >= stop:
                continue
            g = lanes[lane, 2]
            last_group = lanes[lane, 3]
            low_g, high_g = g, last_group  # the last group that begins at or before `begin`
            while high_g - low_g > 1:
                middle = (low_g + high_g) // 2
                if groups[middle, 0] <= begin:
                    low_g = middle
                else:
                    high_g = middle
            g = low_g
            while g < last_group and groups[g, 0] < stop:
                start, rows = groups[g, 0], groups[g, 1]
                low, high = max(begin - start, 0), min(stop - start, rows)
                if low < high:
                    train = blocks[g, ROWS]
                    at, until = low * train // rows, high * train // rows
                    part = groups[g, 2]
                    while at < until:
                        while parts[part, 0] <= at:
                            part += 1
                        upto = min(parts[part, 0], until)
                        if fills:
                            skip = (at + parts[part, 1]) * blocks[g, 6]
                            pieces[count, X] = blocks[g, X] + skip
                            pieces[count, X_STRIDE] = blocks[g, X_STRIDE]
                            pieces[count, Y] = blocks[g, Y] + skip
                            pieces[count, Y_STRIDE] = blocks[g, Y_STRIDE]
                            pieces[count, W] = blocks[g, W] + skip if blocks[g, W] != 0 else 0
                            pieces[count, ROWS] = upto - at
                        count += 1
                        at = upto
                g += 1
    step_ptr[end - first] = count
    return count
