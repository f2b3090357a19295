"""From named columns to the design matrix, and back to names.

An encoding is part of the model: what training did to a column is done again, exactly, at scoring.

Shape suffixes: N rows, D encoded columns. Matrices are held column by column: ``x_DN`` is C-contiguous, and
its transpose is the (N, D) design matrix that BLAS takes as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from linreg_dist.data.gather import Rows, gather, gather_into
from linreg_dist.errors import DataError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class NumericColumn:
    """A column used as a number; ``fill`` replaces missing values (None: there must be none)."""

    name: str
    fill: float | None = None

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """The one name in the coefficient table."""
        return (self.name,)


@dataclass(frozen=True)
class CategoricalColumn:
    """A column of levels, one 0/1 column for each level but the first, which is the base.

    Attributes:
        levels: the values, base first.
        unseen: what a value outside ``levels`` does: an error, or all zeros (it then scores as the base).
        fill: the value of each 0/1 column for a missing value (its training mean), or None where none is
            allowed.

    """

    name: str
    levels: tuple[Any, ...]
    unseen: Literal["error", "zero"] = "error"
    fill: tuple[float, ...] | None = None

    @property
    def encoded_names(self) -> tuple[str, ...]:
        """``column=level`` for each level but the base, as scikit-learn's DictVectorizer spells it."""
        return tuple(f"{self.name}={level}" for level in self.levels[1:])


@dataclass(frozen=True)
class Encoding:
    """The ordered columns of the design matrix."""

    columns: tuple[NumericColumn | CategoricalColumn, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Encoded names, one per column of the design matrix."""
        return tuple(name for column in self.columns for name in column.encoded_names)

    @property
    def num_encoded(self) -> int:
        """D, the width of the design matrix."""
        return sum(len(column.encoded_names) for column in self.columns)

    def spans(self) -> Iterator[tuple[NumericColumn | CategoricalColumn, int, int]]:
        """Yield each column with the half-open range of encoded columns it owns."""
        start = 0
        for column in self.columns:
            stop = start + len(column.encoded_names)
            yield column, start, stop
            start = stop

    def encode(
        self,
        numeric: Mapping[str, Array],
        categorical: Mapping[str, tuple[npt.NDArray[np.int64], list[Any]]],
        rows: Rows,
        out_DN: Array,
        shift_D: npt.NDArray[np.float64] | None = None,
        where: str = "the data",
    ) -> None:
        """Write the chosen rows of the design matrix into ``out_DN``.

        Args:
            numeric: name -> values of the whole row group, NaN where missing.
            categorical: name -> (codes, levels) of the whole row group, code -1 where missing.
            rows: row numbers to take, in this order, or a slice.
            out_DN: (D, N) C-contiguous, float32 or float64.
            shift_D: subtracted before rounding to the type of ``out_DN``; 0 where a column needs none.
            where: names the row group in messages.

        Raises:
            DataError: a level that is not among the column's levels, where ``unseen`` is "error"; a number
                beyond the range of ``out_DN``'s type.

        """
        for column, start, stop in self.spans():
            given = numeric if isinstance(column, NumericColumn) else categorical
            shift = None if shift_D is None else shift_D[start:stop]
            encode_column(column, given[column.name], rows, out_DN[start:stop], shift, where)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the form stored in a model's config.json."""
        documents: list[dict[str, Any]] = []
        for column in self.columns:
            if isinstance(column, NumericColumn):
                documents.append({"name": column.name, "kind": "numeric", "fill": column.fill})
            else:
                documents.append(
                    {
                        "name": column.name,
                        "kind": "categorical",
                        "levels": list(column.levels),
                        "unseen": column.unseen,
                        "fill": None if column.fill is None else list(column.fill),
                    }
                )
        return documents

    @classmethod
    def from_json(cls, documents: Sequence[Mapping[str, Any]]) -> Encoding:
        """Rebuild an encoding from `to_json`.

        Raises:
            DataError: a column is of a kind that this version does not know.

        """
        columns: list[NumericColumn | CategoricalColumn] = []
        for item in documents:
            if item["kind"] == "numeric":
                columns.append(NumericColumn(item["name"], item["fill"]))
            elif item["kind"] != "categorical":
                raise DataError(
                    f"column {item['name']!r} is of the kind {item['kind']!r}; this linreg_dist knows "
                    "numeric, categorical: use the version that wrote it"
                )
            else:
                fill = None if item["fill"] is None else tuple(item["fill"])
                columns.append(CategoricalColumn(item["name"], tuple(item["levels"]), item["unseen"], fill))
        return cls(tuple(columns))


def encode_column(
    column: NumericColumn | CategoricalColumn,
    values: Any,
    rows: Rows,
    out_LN: Array,
    shift_L: npt.NDArray[np.float64] | None = None,
    where: str = "the data",
) -> None:
    """Write the chosen rows of one column into its L columns of the design matrix.

    Args:
        column: what to make of it.
        values: of the whole row group: an array for a number, (codes, levels) for a category.
        rows, shift_L, where: as in `Encoding.encode`.
        out_LN: (L, N) C-contiguous.

    Raises:
        DataError: as `Encoding.encode`.

    """
    if isinstance(column, NumericColumn):
        shift = 0.0 if shift_L is None else float(shift_L[0])
        with refuse_overflow(column.name, values, out_LN.dtype, where):
            take_numbers(values, rows, out_LN[0], shift, column.fill)
        return
    codes, levels = values
    _take_levels(column, gather(codes, rows), levels, out_LN, where)
    if shift_L is not None and shift_L.any():
        out_LN -= shift_L[:, None]


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


def _take_levels(
    column: CategoricalColumn, codes_N: npt.NDArray[np.int64], levels: list[Any], out_LN: Array, where: str
) -> None:
    position = {level: index for index, level in enumerate(column.levels)}
    # One slot more than levels: code -1 (missing) indexes the last one.
    mapped = np.array([position.get(level, _UNSEEN) for level in levels] + [_MISSING], dtype=np.int64)
    places = mapped[codes_N]
    if column.unseen == "error" and places.size and (places == _UNSEEN).any():
        strange = [levels[code] for code in np.unique(codes_N[places == _UNSEEN])]
        count = int(np.count_nonzero(places == _UNSEEN))
        listed = ", ".join(repr(level) for level in strange[:5])
        more = f" and {len(strange) - 5} more" if len(strange) > 5 else ""
        raise DataError(
            f"{where}: column {column.name!r} has {count:,} rows with {len(strange)} level(s) that "
            f"training did not see: "
            f"{listed}{more}. Add them to data.categorical.{column.name}, or set data.unseen: zero to "
            f"score them as the base level "
            f"{column.levels[0]!r}"
        )
    for offset in range(len(column.levels) - 1):
        np.equal(places, offset + 1, out=out_LN[offset], casting="unsafe")
    if column.fill is not None:
        missing = places == _MISSING
        if missing.any():
            out_LN[:, missing] = np.asarray(column.fill)[:, None]


_UNSEEN = -2
_MISSING = -1
