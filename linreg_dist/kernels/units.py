"""Units of work of a sweep: pieces of blocks, cut so that threads can share a step.

A *piece* is a range of rows of one block. A large one is cut into strips, small ones are bundled, by the
pieces alone. A unit is taken in tiles that stay in a core's cache.

Shape suffixes: P pieces, U units, S steps, D encoded columns, K targets.
"""

from __future__ import annotations

from typing import Any

from linreg_dist.kernels.compile import strict_kernel

# A piece: the address of its first feature, target and weight (0: all weigh 1), how many bytes apart its
# feature columns and its target columns are, and its number of rows.
X, X_STRIDE, Y, Y_STRIDE, W, ROWS = range(6)
PIECE_FIELDS = 6

TILE_BYTES = 1 << 18  # of a tile: half of a core's L2
_MOST_TILE_ROWS = 1024  # a float32 sum loses about half a digit for every tenfold in rows
_STRIP_TILES = 4
SMALL_ROWS = 48  # below this a piece costs more to handle than to copy


@strict_kernel
def tile_rows(width: int, itemsize: int) -> int:
    """Return the rows of a tile of ``width`` columns, a multiple of 64."""
    return max(64, min(_MOST_TILE_ROWS, TILE_BYTES // (itemsize * max(width, 1)) // 64 * 64))


@strict_kernel
def cut_units(pieces: Any, step_ptr: Any, width: int, itemsize: int, units: Any, unit_ptr: Any) -> int:
    """Cut the pieces of each step into units and return how many there are.

    Args:
        pieces: (P, 6) int64.
        step_ptr: (S + 1,) int64, the pieces of step s are step_ptr[s] … step_ptr[s + 1].
        width: D + K.
        itemsize: of the rows, in bytes.
        units: (≥ U, 4) int64, filled: first and end piece, first and end row (of a single piece); pass no
            rows to be told U.
        unit_ptr: (S + 1,) int64, filled likewise.

    """
    most = tile_rows(width, 8)
    strip = _STRIP_TILES * tile_rows(width, itemsize)
    fills = units.shape[0] > 0
    count = 0
    for s in range(step_ptr.shape[0] - 1):
        unit_ptr[s] = count
        room = -1
        for p in range(step_ptr[s], step_ptr[s + 1]):
            rows = pieces[p, ROWS]
            if rows == 0:
                continue
            if rows < SMALL_ROWS:
                if rows > room:
                    if fills:
                        units[count, 0] = p
                        units[count, 2] = -1
                    count += 1
                    room = most
                room -= rows
                if fills:
                    units[count - 1, 1] = p + 1
                continue
            room = -1
            strips = (rows + strip - 1) // strip
            for i in range(strips):
                if fills:
                    units[count, 0] = p
                    units[count, 1] = p + 1
                    units[count, 2] = rows * i // strips
                    units[count, 3] = rows * (i + 1) // strips
                count += 1
    unit_ptr[step_ptr.shape[0] - 1] = count
    return count
