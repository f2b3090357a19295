"""A decoded row group, ready for arithmetic: column-major, training rows first.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist.data import memory
from linreg_dist.data.design.columns import Columns
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.numeric import not_finite, refuse_overflow, take_numbers
from linreg_dist.data.gather import RowRuns, gather_finite
from linreg_dist.data.in_place import ColumnsInPlace, ColumnTaker
from linreg_dist.data.plain_reader import PlainReader
from linreg_dist.data.reader import RowGroupReader, numeric_values
from linreg_dist.data.rows import RowSelection, RowSelector, decode_columns, without_value
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec
from linreg_dist.kernels.calls import takes


@dataclass(frozen=True)
class Shift:
    """What is subtracted from each encoded column (D) and target (K) before it is rounded to the block's
    type.

    Zero unless a column's mean is large against its spread: there float32 would keep the mean and lose the
    spread.
    """

    x_D: npt.NDArray[np.float64]
    y_K: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Block:
    """The usable rows of one row group.

    Attributes:
        x_ND: (N, D) design matrix less its shift, of which each column is contiguous.
        y_NK: (N, K) targets less their shift, likewise.
        w_N: (N,) row weights, or None where all are 1.
        num_train: rows [0, num_train) train, the rest validate.
        native: whether native kernels sum the rows where they are on the CPU.

    """

    x_ND: npt.NDArray[np.floating[Any]]
    y_NK: npt.NDArray[np.floating[Any]]
    w_N: npt.NDArray[np.floating[Any]] | None
    num_train: int
    native: bool = False

    @property
    def num_rows(self) -> int:
        """N."""
        return int(self.x_ND.shape[0])

    @property
    def addresses(self) -> npt.NDArray[np.int64]:
        """What native kernels need to know of all rows, (6,), see `linreg_dist.kernels.units`."""
        x, y, w = self.x_ND, self.y_NK, self.w_N
        weights = 0 if w is None else w.ctypes.data
        return np.array([x.ctypes.data, x.strides[1], y.ctypes.data, y.strides[1], weights, len(x)], np.int64)

    def part(self, rows: slice | npt.NDArray[np.int64]) -> Block:
        """Return some of the rows, which all train: views of a range, copies of single rows."""

        def take(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
            # Transposed, so that what is contiguous here (a column) stays so in a copy.
            return (array.T[..., rows] if isinstance(rows, slice) else np.take(array.T, rows, axis=-1)).T

        x_ND, w_N = take(self.x_ND), None if self.w_N is None else take(self.w_N)
        return Block(x_ND, take(self.y_NK), w_N, len(x_ND), self.native)

    @property
    def train(self) -> Block:
        """The rows that train."""
        return self.part(slice(0, self.num_train))

    @property
    def validation(self) -> Block:
        """The rows that validate, as a block of its own."""
        return self.part(slice(self.num_train, None))

    @property
    def nbytes(self) -> int:
        """Memory the block holds."""
        return self.x_ND.nbytes + self.y_NK.nbytes + (0 if self.w_N is None else self.w_N.nbytes)


class BlockBuilder:
    """Reads a row group and encodes it; safe to call from several threads.

    With ``sample``, a block holds training rows alone, without weights, that are evenly spread: all, or so
    many to twice as many.
    """

    def __init__(
        self,
        manifest: Manifest,
        columns: Columns,
        data: DataSpec,
        encoding: Encoding,
        shift: Shift,
        *,
        dtype: type[np.floating[Any]],
        shuffle: bool,
        seed: int,
        native: bool = False,
        sample: int | None = None,
    ) -> None:
        self.native = native
        self._sample = sample
        columns = replace(columns, kinds=encoding.columns)
        self._reader = RowGroupReader(manifest, columns.to_read, columns.dictionaries)
        self._selector = RowSelector(manifest, columns, data, shuffle=shuffle, seed=seed)
        self._manifest = manifest
        self._columns = columns
        self._spans = {column.name: (column, start, stop) for column, start, stop in encoding.spans()}
        self._width = encoding.num_encoded
        self._shift = shift
        self._dtype = np.dtype(dtype)
        self._expect_complete = not self._selector.needs_values
        self._taker: ColumnTaker | None = None
        if native and not shuffle and ColumnTaker.serves(columns.kinds, columns.cluster):
            self._taker = ColumnTaker(columns, shift.x_D, shift.y_K, self._dtype)
        self._plain_reader = PlainReader(manifest, columns.to_read)

    @property
    def num_targets(self) -> int:
        """K."""
        return len(self._columns.targets)

    @property
    def bytes_read(self) -> int:
        """Bytes of the files that were read so far, compressed."""
        return self._reader.bytes_read + self._plain_reader.bytes_read

    def build(self, group: RowGroup) -> tuple[Block, RowSelection]:
        """Decode, select and encode one row group.

        Raises:
            DataError: unreadable file, a level training did not see, a number beyond the range of the block's
                type, a negative weight.

        """
        ruled_out = self._selector.ruled_out(group)
        if ruled_out is not None:
            return self._draft(ruled_out, group).block(), ruled_out
        if self._expect_complete:
            built = self._build_complete(group)
            if built is not None:
                return built
            self.expect_gaps()  # they seldom come alone
        table = self._reader.read(group)
        decoded = decode_columns(table, self._columns)
        selection = self._sampled(self._selector.select(table, decoded, group))
        draft = self._draft(selection, group)
        for name, values in decoded.features.items():
            self._write_feature(name, values, draft)
        for name, values in decoded.numbers.items():
            self._write_numbers(name, values, draft)
        return draft.block(), selection

    def in_place(self, group: RowGroup) -> ColumnsInPlace | None:
        """Decode and select one row group and leave its columns where they are; None where that cannot be.

        The rows that count, and their order, are those of `build`.

        Raises:
            DataError: as `build`.

        """
        if self._taker is None or self._selector.ruled_out(group) is not None:
            return None
        table, where = self._plain_reader.read(group), self._manifest.where(group)
        if table is None:
            table = self._reader.read(group)
        found = self._taker.find(table, group.file)
        if self._expect_complete and (found is not None or not self._taker.has_gaps(table)):
            selection = self._selector.select_complete(group, native=True)
            return self._taker.take(table, selection, where, is_checked=False, found=found)
        selection = self._selector.select(table, decode_columns(table, self._columns), group)
        return self._taker.take(table, selection, where, is_checked=True, found=found)

    def expect_gaps(self) -> None:
        """Look at the rows before any is used from now on."""
        self._expect_complete = False

    def _build_complete(self, group: RowGroup) -> tuple[Block, RowSelection] | None:
        """Return the block of a row group without missing values, or None if it has any.

        Which rows are used where is then known before the first value is, so each column goes to its place
        right after it was decoded, out of the core's cache: all of it takes less time than decoding the row
        group as a whole and copying it.
        """
        selection = self._sampled(self._selector.select_complete(group))
        draft = self._draft(selection, group)
        for piece in self._reader.read_pieces(group):
            for name in piece.column_names:
                column = piece.column(name)
                if column.null_count:
                    return None
                if not self._write_complete(name, column, draft):
                    return None
        return draft.block(), selection

    def _write_complete(self, name: str, column: pa.ChunkedArray, draft: _Draft) -> bool:
        """Put a column into its places and return True, or return False if a row of it may not count."""
        try:
            return self._try_complete(name, column, draft)
        except DataError:  # of a row that another column leaves out, perhaps: all columns together will tell
            return False

    def _try_complete(self, name: str, column: pa.ChunkedArray, draft: _Draft) -> bool:
        if name == self._columns.cluster and without_value(column) is not None:
            return False
        # Rows that a sample does not take have to be looked at too.
        is_native = self.native and self._sample is None
        places = self._native_places(name, draft) if is_native else []
        if places:
            values = numeric_values(column)
            if all(takes(values.dtype, out_N.dtype) for out_N, _ in places):
                return self._write_finite(name, values, places, draft)
        if name in self._spans:
            kind = self._spans[name][0]
            values = kind.decode(column)
            if kind.missing(values) is not None:
                return False
            self._write_feature(name, values, draft)
        if name in self._columns.numbers:
            values = numeric_values(column)
            if not_finite(values) is not None or (name == self._columns.weight and not values.all()):
                return False
            self._write_numbers(name, values, draft)
        return True

    def _native_places(self, name: str, draft: _Draft) -> list[tuple[npt.NDArray[Any], float]]:
        """Return where the numbers of a column go and what is taken off them; none where they need more."""
        places = []
        if name in self._spans:
            kind, start, _ = self._spans[name]
            if not kind.is_as_decoded:
                return []
            places.append((draft.x_DN[start], float(self._shift.x_D[start])))
        for k, target in enumerate(self._columns.targets):
            if name == target:
                places.append((draft.y_KN[k], float(self._shift.y_K[k])))
        if name == self._columns.weight and draft.w_N is not None:
            places.append((draft.w_N, 0.0))
        return places

    def _write_finite(
        self, name: str, values: Any, places: list[tuple[npt.NDArray[Any], float]], draft: _Draft
    ) -> bool:
        """Put numbers into their places and return True, or False if a row of them may not count."""
        finite = [gather_finite(values, draft.rows, out_N, shift) for out_N, shift in places]
        if not all(finite):
            return False
        # A row whose weight is not positive does not count, or is an error.
        return name != self._columns.weight or draft.w_N is None or bool(np.all(draft.w_N > 0))

    def _sampled(self, selection: RowSelection) -> RowSelection:
        if self._sample is None:
            return selection
        every = max(1, len(selection.train) // self._sample)
        return replace(
            selection, train=np.asarray(selection.train)[::every], validation=selection.validation[:0]
        )

    def _draft(self, selection: RowSelection, group: RowGroup) -> _Draft:
        chosen: npt.NDArray[np.int64] | RowRuns = selection.train
        if len(selection.validation):
            chosen = np.concatenate([np.asarray(selection.train), selection.validation])
        num_rows = len(chosen)
        return _Draft(
            where=self._manifest.where(group),
            rows=chosen,
            num_train=len(selection.train),
            x_DN=memory.empty((self._width, num_rows), self._dtype),
            y_KN=np.empty((len(self._columns.targets), num_rows), dtype=self._dtype),
            w_N=np.empty(num_rows, self._dtype) if self._columns.weight and self._sample is None else None,
            native=self.native,
        )

    def _write_feature(self, name: str, values: Any, draft: _Draft) -> None:
        """Put the chosen rows of a feature into its columns of the design matrix."""
        column, start, stop = self._spans[name]
        column.write(values, draft.rows, draft.x_DN[start:stop], self._shift.x_D[start:stop], draft.where)

    def _write_numbers(self, name: str, values: Any, draft: _Draft) -> None:
        """Put the chosen rows of a target or of the weights in all the places where they play a part."""
        for k, target in enumerate(self._columns.targets):
            if name == target:
                with refuse_overflow(name, values, self._dtype, draft.where):
                    take_numbers(values, draft.rows, draft.y_KN[k], float(self._shift.y_K[k]))
        if name == self._columns.weight and draft.w_N is not None:
            with refuse_overflow(name, values, self._dtype, draft.where):
                take_numbers(values, draft.rows, draft.w_N)
            if draft.w_N.size and draft.w_N.min() < 0:
                raise DataError(
                    f"{draft.where}: the weight column {name!r} has {int((draft.w_N < 0).sum()):,} "
                    "negative values; a weight must be zero or more. Filter those rows out or choose another "
                    "column"
                )


@dataclass
class _Draft:
    """A block that is being written column by column."""

    where: str
    rows: npt.NDArray[np.int64] | RowRuns
    num_train: int
    x_DN: npt.NDArray[Any]
    y_KN: npt.NDArray[Any]
    w_N: npt.NDArray[Any] | None
    native: bool

    def block(self) -> Block:
        return Block(self.x_DN.T, self.y_KN.T, self.w_N, self.num_train, self.native)
