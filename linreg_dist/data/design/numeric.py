"""Columns of numbers: each is one column of the design matrix, as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist.data.design.documents import is_finite
from linreg_dist.data.design.kind import Array, ColumnKind, Mask
from linreg_dist.data.design.portable import Numbers
from linreg_dist.data.design.types import is_numeric
from linreg_dist.data.gather import Rows, gather, gather_into
from linreg_dist.data.reader import numeric_values
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec

_NARROW = (pa.float32(), pa.float16(), pa.int16(), pa.int8(), pa.uint16(), pa.uint8(), pa.bool_())


@dataclass
class NumberSum:
    """The sum and count of a column's finite values over training rows."""

    total: float = 0.0
    count: int = 0

    def merge(self, other: NumberSum) -> None:
        """Add another part's rows to these."""
        self.total += other.total
        self.count += other.count


@dataclass(frozen=True)
class NumericColumn(ColumnKind):
    """A column used as a number; ``fill`` replaces missing values (None: there must be none)."""

    kind: ClassVar[str] = "numeric"
    expects: ClassVar[str] = "a number"
    shifted: ClassVar[bool] = True
    from_numbers: ClassVar[bool] = True

    name: str
    fill: float | None = None

    @classmethod
    def claims(cls, name: str, type_: pa.DataType, data: DataSpec) -> bool:
        """Return whether the type is a number."""
        return is_numeric(type_)

    @classmethod
    def draft(cls, name: str, type_: pa.DataType, data: DataSpec) -> Self:
        """Return the column without a fill."""
        return cls(name)

    def takes(self, type_: pa.DataType) -> bool:
        """Return whether the type is a number."""
        return is_numeric(type_)

    @property
    def is_as_decoded(self) -> bool:
        """Whether no value is filled. A subclass may make other numbers of them."""
        return type(self) is NumericColumn and self.fill is None

    def fits_float32(self, type_: pa.DataType) -> bool:
        """Return whether the type has at most float32's digits."""
        return is_narrow(type_)

    def decode(self, column: pa.ChunkedArray) -> Array:
        """Return numbers of their own type, missing ones NaN."""
        return numeric_values(column)

    def missing(self, values: Array) -> Mask | None:
        """Return which values are null, NaN or ±inf."""
        return not_finite(values)

    def needs(self, data: DataSpec) -> bool:
        """Return whether missing values are filled by a mean that is yet to be found."""
        return data.missing == "mean" and self.fill is None

    def find(
        self, values: Array, train: npt.NDArray[np.int64], validation: npt.NDArray[np.int64], where: str
    ) -> NumberSum:
        """Sum the finite values of the training rows."""
        taken = values[train]
        taken = taken[np.isfinite(taken)] if taken.dtype.kind == "f" else taken
        return NumberSum(float(taken.sum(dtype=np.float64)), taken.size)

    def settle(self, found: NumberSum | None, data: DataSpec) -> Self:
        """Return the column with the training mean as its fill where missing values take it."""
        if not self.needs(data):
            return self
        return replace(self, fill=found.total / found.count if found is not None and found.count else 0.0)

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """The one name in the coefficient table."""
        return (self.name,)

    def write(
        self, values: Array, rows: Rows, out_LN: Array, shift_L: npt.NDArray[np.float64] | None, where: str
    ) -> None:
        """Write the chosen numbers less their shift; see `ColumnKind.write`.

        Raises:
            DataError: a number beyond the range of ``out_LN``'s type.

        """
        shift = 0.0 if shift_L is None else float(shift_L[0])
        with refuse_overflow(self.name, values, out_LN.dtype, where):
            take_numbers(values, rows, out_LN[0], shift, self.fill)

    def portable(self) -> Numbers:
        """Return the number with its fill."""
        return Numbers(None, None if self.fill is None else (self.fill,))

    def to_json(self) -> dict[str, Any]:
        """Return name, kind and fill."""
        return {"name": self.name, "kind": self.kind, "fill": self.fill}

    @classmethod
    def check_json(cls, document: Mapping[str, Any]) -> None:
        """Check the fill.

        Raises:
            ValueError: it is neither null nor a finite number.

        """
        name = document["name"]
        if "fill" not in document:
            raise ValueError(f"column {name!r} has no fill, which may be null")
        fill = document["fill"]
        if fill is not None and not is_finite(fill):
            raise ValueError(f"column {name!r} has the fill {fill!r}, expected a finite number or null")

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild a column from `to_json`."""
        return cls(document["name"], document["fill"])


def is_narrow(type_: pa.DataType) -> bool:
    """Return whether float32 holds every number of this type."""
    return type_ in _NARROW


def not_finite(values: Array) -> Mask | None:
    """Return which numbers are NaN or ±inf; None where none is."""
    if values.dtype.kind != "f":
        return None
    finite: Mask = np.isfinite(values)
    return None if finite.all() else ~finite


@contextmanager
def refuse_overflow(name: str, values: Array, dtype: np.dtype[Any], where: str) -> Iterator[None]:
    """Turn a number that becomes infinite when it is rounded to ``dtype`` into a message.

    Raises:
        DataError: there was one.

    """
    try:
        with np.errstate(over="raise"):
            yield
    except FloatingPointError as error:
        largest = float(np.abs(values[np.isfinite(values)]).max())
        raise DataError(
            f"{where}: column {name!r} has values as large as {largest:.3g}, beyond the range of {dtype}; "
            "express it in a larger unit, or filter such rows out"
        ) from error


def take_numbers(
    values: Array, rows: Rows, out_N: Array, shift: float = 0.0, fill: float | None = None
) -> None:
    """Write ``values[rows] - shift`` into ``out_N``, rounded to its type, with ``fill`` where a value is
    missing.
    """
    if values.dtype == out_N.dtype and shift == 0.0:
        gather_into(values, rows, out_N)
    else:
        taken = gather(values, rows)
        if shift != 0.0:
            taken = taken.astype(np.float64, copy=False) - shift
        out_N[:] = taken
    if fill is not None and values.dtype.kind == "f":
        missing = ~np.isfinite(out_N)
        if missing.any():
            out_N[missing] = fill - shift
