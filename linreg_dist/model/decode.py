"""The values of a stored column as its kind decodes them when a model scores."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from linreg_dist import limits
from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.errors import DataError


def decode_stored(column: ColumnKind, stored: pa.ChunkedArray, where: str) -> Any:
    """Return a column's values as its kind decodes them.

    Raises:
        DataError: they have a type that training would not have taken either.

    """
    try:
        if pa.types.is_null(stored.type):
            return column.decode(pa.chunked_array([pa.nulls(len(stored), column.null_type)]))
        if pa.types.is_dictionary(stored.type) and not column.takes(stored.type):
            # As Arrow reads numbers from the names of folders, and as pandas keeps its categories.
            stored = stored.cast(stored.type.value_type)
        if column.takes(stored.type):
            return column.decode(stored)
    except (ValueError, TypeError, pa.ArrowException) as error:
        limits.let_through(error)
        raise DataError(f"{where}: column {column.name!r} cannot be read: {error}") from error
    raise DataError(
        f"{where}: column {column.name!r} has type {stored.type}; the model expects {column.expects}: it was "
        "trained on such, convert the column"
    )
