"""The columns of a row group where they were decoded, and the numbers of the rows that count.

A pass that takes sums over rows and keeps none needs no block: gathering the columns into one takes a third
of the time that decoding them did, and most of it with the interpreter's lock held.

Shape suffixes: N rows of the row group, D features, K targets, M rows that count.
"""

from __future__ import annotations

import threading
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
from linreg_dist.kernels.calls import address_of, addresses_in

Array = npt.NDArray[Any]
Ints = npt.NDArray[np.int64]
_ALL = np.empty(0, dtype=np.int64)
_ARROW = {np.dtype(np.float32): pa.float32(), np.dtype(np.float64): pa.float64()}


@dataclass(frozen=True)
class ColumnsInPlace:
    """The usable rows of one row group, not moved; what a `Block` holds of them, less the copying.

    Attributes:
        dtype: of the block.
        addresses_Z: where the features less their shift, then the targets, begin in memory, (D + K,), each
            (N,) contiguous numbers of that type.
        held: whatever owns that memory.
        w_N: row weights, or None where all are 1.
        rows_M: numbers of the rows that train, then of those that validate; empty where all N count, in
            order.
        num_train: how many train.
        num_rows: M.
        selection: what became of the rows.
        is_checked: whether the rows that count are known to have a value in each column; if not, sums over
            them tell.

    """

    dtype: np.dtype[np.floating[Any]]
    addresses_Z: Ints
    held: object
    w_N: Array | None
    rows_M: Ints
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
        self._shifts = dict(enumerate((*shift_D.tolist(), *shift_K.tolist())))
        self._names = (*columns.features, *columns.targets)
        self._dtype = dtype
        self._is_shifted = any(self._shifts.values())
        self._places: dict[tuple[int, int], Ints | None] = {}
        self._lock = threading.Lock()

    @staticmethod
    def serves(kinds: Sequence[ColumnKind], cluster: str | None) -> bool:
        """Return whether these columns can stay where they are: numbers that need no filling, no cluster."""
        return cluster is None and all(column.is_as_decoded for column in kinds)

    def has_gaps(self, table: pa.Table) -> bool:
        """Return whether a column has nulls, or a weight is 0, so that rows have to be looked at first."""
        if any(column.null_count for column in table.columns):
            return True
        return self._has_weightless(table)

    def _has_weightless(self, table: pa.Table) -> bool:
        weight = self._columns.weight
        return weight is not None and not numeric_values(table.column(weight)).all()

    def take(
        self,
        table: pa.Table,
        selection: RowSelection,
        where: str,
        *,
        is_checked: bool,
        found: tuple[Ints, object] | None = None,
    ) -> ColumnsInPlace | None:
        """Return the columns of a table; None where a weight is negative, which a block says better.

        Args:
            table: of the row group.
            selection: of its rows.
            where: names the row group in messages.
            is_checked: see `ColumnsInPlace`.
            found: what `find` found in the table.

        Raises:
            DataError: a number beyond the range of the block's type.

        """
        columns = self._columns
        weight = None if columns.weight is None else self._values(table, columns.weight, 0.0, where)
        if weight is not None and (weight < 0).any():
            return None
        if found is None:
            held = [self._values(table, name, self._shifts[z], where) for z, name in enumerate(self._names)]
            found = np.fromiter((address_of(values) for values in held), np.int64, len(held)), held
        train, validation = selection.train, selection.validation
        num_train, num_rows = len(train), len(train) + len(validation)
        rows_M = _ALL
        if num_rows != table.num_rows or (num_train and len(validation)):
            rows_M = _in_one(train, validation)
        return ColumnsInPlace(
            self._dtype, *found, weight, rows_M, num_train, num_rows, selection, is_checked=is_checked
        )

    def find(self, table: pa.Table, file: int) -> tuple[Ints, object] | None:
        """Return where the columns of a table begin, and what owns them, by one native call.

        None where they have to be converted, or one has nulls.

        Args:
            table: of a row group.
            file: of which file. All its row groups have columns of the same types.

        """
        key = file, table.num_columns
        with self._lock:
            if key not in self._places:
                self._places[key] = self._places_in(table)
            places = self._places[key]
        if places is None or not table.num_rows:
            return None
        batches = table.to_batches()
        if len(batches) != 1:
            return None
        exported = batches[0].__arrow_c_array__()
        addresses_Z = addresses_in(exported[1], places, self._dtype)
        if addresses_Z is None or self._has_weightless(table):
            return None
        return addresses_Z, exported

    def _places_in(self, table: pa.Table) -> Ints | None:
        schema = table.schema
        places = [schema.get_field_index(name) for name in self._names]
        wanted = _ARROW.get(self._dtype)
        if self._is_shifted or wanted is None or min(places) < 0:
            return None
        if any(schema.field(place).type != wanted for place in places):
            return None
        return np.array(places, dtype=np.int64)

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
