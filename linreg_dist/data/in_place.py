"""The columns of a row group where they were decoded, and the numbers of the rows that count.

A pass that takes sums over rows and keeps none needs no block: gathering the columns into one takes a third
of the time that decoding them did, and most of it with the interpreter's lock held.

Shape suffixes: N rows of the row group, D features, K targets, M rows that count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist.data.design.columns import Columns
from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.design.numeric import refuse_overflow, take_numbers
from linreg_dist.data.gather import RowRuns
from linreg_dist.data.reader import numeric_values
from linreg_dist.data.rows import RowSelection

Array = npt.NDArray[Any]
_ALL = np.empty(0, dtype=np.int64)


@dataclass(frozen=True)
class ColumnsInPlace:
    """The usable rows of one row group, not moved; what a `Block` holds of them, less the copying.

    Attributes:
        x_D: features less their shift, D arrays (N,) of the block's type.
        y_K: targets less their shift, likewise.
        w_N: row weights, or None where all are 1.
        rows_M: numbers of the rows that train, then of those that validate; empty where all N count, in
            order.
        num_train: how many train.
        num_rows: M.
        selection: what became of the rows.
        is_checked: whether the rows that count are known to have a value in each column; if not, sums over
            them tell.

    """

    x_D: tuple[Array, ...]
    y_K: tuple[Array, ...]
    w_N: Array | None
    rows_M: npt.NDArray[np.int64]
    num_train: int
    num_rows: int
    selection: RowSelection
    is_checked: bool


class ColumnTaker:
    """Takes columns from decoded tables as a block would hold them.

    Args:
        columns: of the job, with their kinds settled.
        shift_D, shift_K: subtracted from features and targets.
        dtype: of the block.

    """

    def __init__(
        self, columns: Columns, shift_D: Array, shift_K: Array, dtype: np.dtype[np.floating[Any]]
    ) -> None:
        self._columns = columns
        self._shift_D, self._shift_K = shift_D, shift_K
        self._dtype = dtype

    @staticmethod
    def serves(kinds: Sequence[ColumnKind], cluster: str | None) -> bool:
        """Return whether these columns can stay where they are: numbers that need no filling, no cluster."""
        return cluster is None and all(column.is_as_decoded for column in kinds)

    def has_gaps(self, table: pa.Table) -> bool:
        """Return whether a column has nulls, or a weight is 0, so that rows have to be looked at first."""
        if any(column.null_count for column in table.columns):
            return True
        weight = self._columns.weight
        return weight is not None and not numeric_values(table.column(weight)).all()

    def take(
        self, table: pa.Table, selection: RowSelection, where: str, *, is_checked: bool
    ) -> ColumnsInPlace | None:
        """Return the columns of a table; None where a weight is negative, which a block says better.

        Raises:
            DataError: a number beyond the range of the block's type.

        """
        columns = self._columns
        weight = None if columns.weight is None else self._values(table, columns.weight, 0.0, where)
        if weight is not None and (weight < 0).any():
            return None
        train, validation = selection.train, selection.validation
        num_train, num_rows = len(train), len(train) + len(validation)
        rows_M = _ALL
        if num_rows != table.num_rows or (num_train and len(validation)):
            rows_M = _in_one(train, validation)
        return ColumnsInPlace(
            x_D=tuple(
                self._values(table, name, float(shift), where)
                for name, shift in zip(columns.features, self._shift_D, strict=True)
            ),
            y_K=tuple(
                self._values(table, name, float(shift), where)
                for name, shift in zip(columns.targets, self._shift_K, strict=True)
            ),
            w_N=weight,
            rows_M=rows_M,
            num_train=num_train,
            num_rows=num_rows,
            selection=selection,
            is_checked=is_checked,
        )

    def _values(self, table: pa.Table, name: str, shift: float, where: str) -> Array:
        values = numeric_values(table.column(name))
        if values.dtype == self._dtype and shift == 0.0:
            return np.ascontiguousarray(values)
        out_N = np.empty(len(values), self._dtype)
        with refuse_overflow(name, values, self._dtype, where):
            take_numbers(values, slice(None), out_N, shift)
        return out_N


def _in_one(train: Array | RowRuns, validation: Array) -> npt.NDArray[np.int64]:
    """Return both, one after the other, without a copy where they are so already."""
    both = validation.base
    if isinstance(both, np.ndarray) and isinstance(train, np.ndarray) and train.base is both:
        follows = train.ctypes.data + train.nbytes == validation.ctypes.data
        if follows and train.ctypes.data == both.ctypes.data:
            return both[: len(train) + len(validation)]
    return np.concatenate([np.asarray(train), validation])
