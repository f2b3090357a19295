"""Rows of a block in the units of the files, for what no shift may be taken from."""

from __future__ import annotations

from linreg_dist.data.block import Shift
from linreg_dist.stats.kernel import Array


def in_files_units(x_ND: Array, y_NK: Array, shift: Shift) -> tuple[Array, Array]:
    """Return features and targets with their shift added again; the same arrays where there is none."""
    if not (shift.x_D.any() or shift.y_K.any()):
        return x_ND, y_NK
    return x_ND + shift.x_D, y_NK + shift.y_K
