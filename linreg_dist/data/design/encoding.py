"""The encoding of named columns as a design matrix, and of its columns as names.

An encoding is part of the model: what training did to a column is done again, exactly, at scoring.

Shape suffixes: N rows, D encoded columns. Matrices are held column by column: ``x_DN`` is C-contiguous, and
its transpose is the (N, D) design matrix that BLAS takes as it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from linreg_dist.data.design.kind import Array, ColumnKind
from linreg_dist.data.design.kinds import column_from_json
from linreg_dist.data.gather import Rows


@dataclass(frozen=True)
class Encoding:
    """The ordered columns of the design matrix."""

    columns: tuple[ColumnKind, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Encoded names, one per column of the design matrix."""
        return tuple(name for column in self.columns for name in column.encoded_names)

    @property
    def num_encoded(self) -> int:
        """D, the width of the design matrix."""
        return sum(len(column.encoded_names) for column in self.columns)

    def spans(self) -> Iterator[tuple[ColumnKind, int, int]]:
        """Yield each column with the half-open range of encoded columns it owns."""
        start = 0
        for column in self.columns:
            stop = start + len(column.encoded_names)
            yield column, start, stop
            start = stop

    def encode(
        self,
        values: Mapping[str, Any],
        rows: Rows,
        out_DN: Array,
        shift_D: npt.NDArray[np.float64] | None = None,
        where: str = "the data",
    ) -> None:
        """Write the chosen rows of the design matrix into ``out_DN``.

        Args:
            values: name -> values of the whole row group, as the column's `decode` returns them; those of a
                column without an encoded one may be lacking.
            rows: row numbers to take, in this order, or a slice.
            out_DN: (D, N) C-contiguous, float32 or float64.
            shift_D: subtracted before rounding to the type of ``out_DN``; 0 where a column needs none.
            where: names the row group in messages.

        Raises:
            DataError: a value that a column cannot take; see `ColumnKind.write`.

        """
        for column, start, stop in self.spans():
            if start == stop and column.name not in values:
                continue
            shift = None if shift_D is None else shift_D[start:stop]
            column.write(values[column.name], rows, out_DN[start:stop], shift, where)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the form stored in a model's config.json."""
        return [column.to_json() for column in self.columns]

    @classmethod
    def from_json(cls, documents: Sequence[Mapping[str, Any]]) -> Encoding:
        """Rebuild an encoding from `to_json`.

        Raises:
            DataError: a column is of a kind that this version does not know.

        """
        return cls(tuple(column_from_json(document) for document in documents))
