"""Columns of lists of numbers, such as embeddings: each place of the list is an encoded column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist.data.design.documents import check_numbers
from linreg_dist.data.design.kind import Array, ColumnKind, Mask
from linreg_dist.data.design.numeric import is_narrow, refuse_overflow, take_numbers
from linreg_dist.data.design.portable import Numbers
from linreg_dist.data.design.types import is_list_of_numbers
from linreg_dist.data.gather import Rows
from linreg_dist.data.reader import numeric_values
from linreg_dist.errors import DataError
from linreg_dist.jobspec import DataSpec


@dataclass(frozen=True)
class Vectors:
    """The lists of a row group.

    Attributes:
        values: all numbers, one list after another, missing ones NaN.
        starts_N: where each row's list begins.
        lengths_N: how long it is; -1 where the row has none.

    """

    values: Array
    starts_N: npt.NDArray[np.int64]
    lengths_N: npt.NDArray[np.int64]

    def place(self, place: int) -> Array:
        """Return every row's value at one place of its list, (N,); NaN where the list is shorter or null."""
        inside = self.lengths_N > place
        if inside.all():
            return self.values[self.starts_N + place]
        taken = np.full(
            len(inside), np.nan, self.values.dtype if self.values.dtype.kind == "f" else np.float64
        )
        taken[inside] = self.values[self.starts_N[inside] + place]
        return taken


@dataclass
class VectorSums:
    """What training rows say of a column of lists.

    Attributes:
        lengths: length -> the first row group in which a list has it.
        totals, counts: of the finite values at each place.

    """

    lengths: dict[int, str] = field(default_factory=dict)
    totals: list[float] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def merge(self, other: VectorSums) -> None:
        """Add another part's rows to these."""
        for length, where in other.lengths.items():
            self.lengths.setdefault(length, where)
        more = len(other.totals) - len(self.totals)
        self.totals += [0.0] * more
        self.counts += [0] * more
        for place, (total, count) in enumerate(zip(other.totals, other.counts, strict=True)):
            self.totals[place] += total
            self.counts[place] += count


@dataclass(frozen=True)
class VectorColumn(ColumnKind):
    """A column of lists of one length, a block of features ``name[0]`` to ``name[n-1]``.

    Attributes:
        length: n; None until the first pass has found it, for lists whose type does not say it.
        fill: replaces missing values at each place; None: there must be none.

    """

    kind: ClassVar[str] = "vector"
    expects: ClassVar[str] = "lists of numbers, all of one length"
    shifted: ClassVar[bool] = True

    name: str
    length: int | None = None
    fill: tuple[float, ...] | None = None

    @classmethod
    def claims(cls, name: str, type_: pa.DataType, data: DataSpec) -> bool:
        """Return whether it is a list of numbers; one of any length only if the spec names it."""
        if not is_list_of_numbers(type_):
            return False
        return bool(pa.types.is_fixed_size_list(type_)) or name in (data.features or ())

    @classmethod
    def hint(cls, type_: pa.DataType) -> str | None:
        """Return how a list of any length becomes a feature."""
        return "lists of one length can be named in data.features" if is_list_of_numbers(type_) else None

    @classmethod
    def draft(cls, name: str, type_: pa.DataType, data: DataSpec) -> Self:
        """Return the column with the length that the type has."""
        return cls(name, type_.list_size if pa.types.is_fixed_size_list(type_) else None)

    def takes(self, type_: pa.DataType) -> bool:
        """Return whether it is a list of numbers that may have this length."""
        if not is_list_of_numbers(type_):
            return False
        return not pa.types.is_fixed_size_list(type_) or self.length in (None, type_.list_size)

    @property
    def null_type(self) -> pa.DataType:
        """Lists of float64."""
        return pa.list_(pa.float64())

    @property
    def known_width(self) -> int:
        """The length, as far as it is known."""
        return self.length or 0

    def fits_float32(self, type_: pa.DataType) -> bool:
        """Return whether float32 holds every number of the lists."""
        return is_list_of_numbers(type_) and is_narrow(type_.value_type)

    def decode(self, column: pa.ChunkedArray) -> Vectors:
        """Return the lists of a row group."""
        import pyarrow.compute as pc  # takes longer to load than many a command

        lists = column.combine_chunks()
        if pa.types.is_fixed_size_list(lists.type):
            lists = lists.cast(pa.list_(lists.type.value_type))
        lengths = pc.list_value_length(lists).fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        starts = np.concatenate([[0], np.cumsum(np.maximum(lengths, 0))[:-1]]) if len(lengths) else lengths
        # `flatten` leaves out what null lists may hide.
        return Vectors(numeric_values(lists.flatten()), starts.astype(np.int64), lengths)

    def missing(self, values: Vectors) -> Mask | None:
        """Return which rows have no list, or one with a value that is null, NaN or ±inf."""
        mask = values.lengths_N < 0
        if values.values.dtype.kind == "f":
            bad = np.flatnonzero(~np.isfinite(values.values))
            if bad.size:
                mask[np.searchsorted(values.starts_N, bad, side="right") - 1] = True
        return mask if mask.any() else None

    def needs(self, data: DataSpec) -> bool:
        """Return whether the length, or means as fills, are yet to be found."""
        return self.length is None or (data.missing == "mean" and self.fill is None)

    def find(
        self, values: Vectors, train: npt.NDArray[np.int64], validation: npt.NDArray[np.int64], where: str
    ) -> VectorSums:
        """Note the lengths of the lists and sum the values at each place.

        Raises:
            DataError: lists of unequal lengths.

        """
        lengths = np.unique(values.lengths_N[np.concatenate([train, validation])])
        found = VectorSums({int(length): where for length in lengths if length >= 0})
        self._refuse_unequal(found.lengths)
        for place in range(max(found.lengths, default=0)):
            taken = values.place(place)[train]
            taken = taken[np.isfinite(taken)] if taken.dtype.kind == "f" else taken
            found.totals.append(float(taken.sum(dtype=np.float64)))
            found.counts.append(taken.size)
        return found

    def settle(self, found: VectorSums | None, data: DataSpec) -> Self:
        """Return the column with its length, and the training means as fills where missing values take them.

        Raises:
            DataError: row groups have lists of different lengths.

        """
        if not self.needs(data):
            return self
        found = found or VectorSums()
        self._refuse_unequal(found.lengths)
        length = next(iter(found.lengths), 0) if self.length is None else self.length
        fill = None
        if data.missing == "mean":
            sums = zip(found.totals, found.counts, strict=True)
            means = [total / count if count else 0.0 for total, count in sums]
            fill = tuple(means) if means else (0.0,) * length
        return replace(self, length=length, fill=fill)

    def _refuse_unequal(self, lengths: Mapping[int, str]) -> None:
        if len(lengths) > 1:
            (first, one), (second, other), *_ = lengths.items()
            raise DataError(
                f"{other}: column {self.name!r} has lists of {second:,} numbers, and of {first:,} in {one}; "
                "expected one length in all rows. Leave it out of data.features, or filter such rows out"
            )

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """``name[0]`` to ``name[n-1]``."""
        return tuple(f"{self.name}[{place}]" for place in range(self.length or 0))

    def write(
        self, values: Vectors, rows: Rows, out_LN: Array, shift_L: npt.NDArray[np.float64] | None, where: str
    ) -> None:
        """Write the chosen rows, place by place; see `ColumnKind.write`.

        Raises:
            DataError: a list of another length, or a number beyond the range of ``out_LN``'s type.

        """
        lengths = values.lengths_N[np.asarray(rows) if not isinstance(rows, slice) else rows]
        other = np.unique(lengths[(lengths >= 0) & (lengths != self.length)])
        if other.size:
            raise DataError(
                f"{where}: column {self.name!r} has lists of {int(other[0]):,} numbers; expected "
                f"{self.length:,} in all rows. Leave it out of data.features, or filter such rows out"
            )
        for place in range(len(out_LN)):
            taken = values.place(place)
            shift = 0.0 if shift_L is None else float(shift_L[place])
            fill = None if self.fill is None else self.fill[place]
            with refuse_overflow(f"{self.name}[{place}]", taken, out_LN.dtype, where):
                take_numbers(taken, rows, out_LN[place], shift, fill)

    def portable(self) -> Numbers:
        """Return the list with its fills."""
        return Numbers(self.length or 0, self.fill)

    def to_json(self) -> dict[str, Any]:
        """Return name, kind, length and fill."""
        fill = None if self.fill is None else list(self.fill)
        return {"name": self.name, "kind": self.kind, "length": self.length, "fill": fill}

    @classmethod
    def check_json(cls, document: Mapping[str, Any]) -> None:
        """Check length and fill.

        Raises:
            ValueError: one has another form.

        """
        name, length = document["name"], document.get("length")
        if isinstance(length, bool) or not isinstance(length, int) or length < 0:
            raise ValueError(f"column {name!r} has the length {length!r}, expected a whole number")
        if document.get("fill") is not None:
            check_numbers(document["fill"], length, f"fill of column {name!r}")

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Rebuild a column from `to_json`."""
        fill = document.get("fill")
        return cls(document["name"], document["length"], None if fill is None else tuple(fill))
