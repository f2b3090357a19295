"""Rows in memory and Parquet: what `fit` was given, and the file that is trained on.

Shape suffixes: N rows, D columns, K targets.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist.data.design.types import is_string, is_text
from linreg_dist.errors import DataError

_NUM_ROW_GROUPS = 24  # two for each of the lanes that are read side by side
_MIN_ROWS = 8192  # below, a row group's fixed costs outweigh its rows
_MAX_BYTES = 32 << 20

Array = np.ndarray[Any, np.dtype[Any]]


def unique_name() -> str:
    """Return a name for a run that no other has: two fits never meet in one folder by chance."""
    return f"fit-{datetime.now():%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:8]}"


def names_parquet(X: Any) -> bool:
    """Return whether ``X`` is a path or a list of paths, rather than rows."""
    if isinstance(X, list | tuple):
        return len(X) > 0 and all(isinstance(item, str | os.PathLike) for item in X)
    return isinstance(X, str | os.PathLike)


def as_arrow(X: Any) -> pa.Table | None:
    """Return named columns as a Table, without an index; None where ``X`` has no names, or Arrow no type.

    Args:
        X: a pyarrow Table, a DataFrame of pandas, of polars or of another library that speaks Arrow; or
            anything else.

    """
    if isinstance(X, pa.Table):
        return X
    try:
        if hasattr(X, "select_dtypes"):  # pandas, whose index is no column
            return pa.Table.from_pandas(X, preserve_index=False)
        return pa.table(X) if hasattr(X, "__arrow_c_stream__") else None
    except (pa.ArrowException, TypeError):  # a column of mixed objects, for instance
        return None


def has_levels(X: Any, named: Collection[str] = ()) -> bool:
    """Return whether ``X`` has columns to be encoded by their levels: columns of text, and those `named`."""
    names = X.column_names if isinstance(X, pa.Table) else getattr(X, "columns", ())
    if any(name in named for name in names):
        return True
    is_pandas = hasattr(X, "select_dtypes")
    table = as_arrow(X.select_dtypes(exclude=["number", "bool"]) if is_pandas else X)
    return table is not None and any(map(is_string, table.schema.types))


def refuse_types(X: Any, *, text: bool) -> None:
    """Refuse values that numpy would take as numbers and training on Parquet would not.

    Args:
        X: rows in any form.
        text: whether columns of text are refused too.

    Raises:
        DataError: a column holds times, bytes or, if ``text``, text; names it.

    """
    dtype = getattr(X, "dtype", None)
    if getattr(dtype, "kind", "") in "mM" and dtype is not None:
        raise DataError(
            f"X has type {dtype}; expected numbers: convert times to numbers of a unit of your own"
        )
    if hasattr(X, "select_dtypes"):
        X = X.loc[:, [getattr(kind, "kind", "O") not in "biuf" for kind in X.dtypes]]
    table = as_arrow(X)
    for each in () if table is None else table.schema:
        is_bytes = is_text(each.type) and not is_string(each.type)
        if pa.types.is_temporal(each.type) or is_bytes or (text and is_string(each.type)):
            raise DataError(
                f"X: column {each.name!r} has type {each.type}; expected a number: convert the column"
            )


def feature_columns(names: Sequence[str] | None, num_features: int) -> list[str]:
    """Return names for the columns of a file: `names` if they will do, else x0, x1 and so on."""
    if names is not None and all(names) and len(set(names)) == len(names):
        return list(names)
    return [f"x{index}" for index in range(num_features)]


def write_rows(
    path: Path, names: Sequence[str], features: Array | pa.Table, others: Mapping[str, Array]
) -> None:
    """Write the rows as they are: no type is changed, and nothing is compressed.

    Args:
        path: the file, which is read a few times and then thrown away.
        names: of the D features.
        features: (N, D), or a Table of D columns and N rows.
        others: further columns, (N,) each.

    """
    num_rows = len(features)
    rows_per_group = _rows_per_group(num_rows, features.nbytes)
    writer: pq.ParquetWriter | None = None
    try:
        for start in range(0, num_rows, rows_per_group):
            rows = slice(start, start + rows_per_group)
            table = _table(names, features, others, rows)
            if writer is None:
                text = [field.name for field in table.schema if is_string(field.type)]
                writer = pq.ParquetWriter(
                    path, table.schema, compression="none", use_dictionary=text, write_statistics=False
                )
            writer.write_table(table, row_group_size=rows_per_group)
    finally:
        if writer is not None:
            writer.close()


def _rows_per_group(num_rows: int, num_bytes: int) -> int:
    wanted = max(-(-num_rows // _NUM_ROW_GROUPS), _MIN_ROWS)
    return max(1, min(wanted, num_rows * _MAX_BYTES // max(num_bytes, 1)))


def _table(
    names: Sequence[str], features: Array | pa.Table, others: Mapping[str, Array], rows: slice
) -> pa.Table:
    if isinstance(features, pa.Table):
        columns = features.slice(rows.start, rows.stop - rows.start).columns
    else:
        columns = list(np.asfortranarray(features[rows]).T)  # contiguous columns, which Arrow need not copy
    return pa.table([*columns, *(values[rows] for values in others.values())], names=[*names, *others])
