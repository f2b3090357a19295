"""Moving chosen rows of a column to where they are used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from linreg_dist.kernels.calls import take_rows

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RowRuns:
    """All rows of a row group: its runs of ``length`` rows in ``order``, then the rows that fill no run.

    Says what an array of row numbers would, at none of its cost: a run is copied as a whole, which is six
    times as fast as looking up one row number after another.

    Attributes:
        num_rows: of the row group.
        length: rows in a run.
        order: a permutation of the ``num_rows // length`` runs.

    """

    num_rows: int
    length: int
    order: npt.NDArray[np.int64]

    @classmethod
    def in_place(cls, num_rows: int) -> RowRuns:
        """Return all rows where they are."""
        return cls(num_rows, max(num_rows, 1), np.arange(1 if num_rows else 0))

    @property
    def whole(self) -> int:
        """How many rows are in runs."""
        return len(self.order) * self.length

    def __len__(self) -> int:
        return self.num_rows

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        """Return the row numbers."""
        rows = np.arange(self.num_rows)
        rows[: self.whole] = rows[: self.whole].reshape(-1, self.length)[self.order].reshape(-1)
        return rows if dtype is None else rows.astype(dtype)


Rows = npt.NDArray[np.int64] | slice | RowRuns


def gather(values_N: Array, rows: Rows) -> Array:
    """Return the chosen rows."""
    return values_N[np.asarray(rows) if isinstance(rows, RowRuns) else rows]


def gather_into(values_N: Array, rows: Rows, out_N: Array) -> None:
    """Write the chosen rows into an array of the same type."""
    if isinstance(rows, slice):
        out_N[:] = values_N[rows]
    elif isinstance(rows, RowRuns):
        whole, length = rows.whole, rows.length
        runs = values_N[:whole].reshape(-1, length)
        # mode="clip" lets numpy write into `out` without a buffer; the numbers are always in range.
        np.take(runs, rows.order, axis=0, out=out_N[:whole].reshape(-1, length), mode="clip")
        out_N[whole:] = values_N[whole:]
    else:
        np.take(values_N, rows, out=out_N, mode="clip")


def gather_finite(values_N: Array, rows: npt.NDArray[np.int64] | RowRuns, out_N: Array, shift: float) -> bool:
    """Write the chosen rows less a shift, natively, and return whether all of them are finite.

    Args:
        values_N: float32 or float64.
        rows: all rows of the row group, in any order.
        out_N: float32 or float64, contiguous; what it holds is `gather`'s rows less the shift.
        shift: taken off in float64, before the number is rounded.

    """
    values_N = np.ascontiguousarray(values_N)
    if isinstance(rows, RowRuns):
        return take_rows(values_N, np.ascontiguousarray(rows.order), rows.length, None, shift, out_N)
    return take_rows(values_N, None, 0, np.ascontiguousarray(rows), shift, out_N)
