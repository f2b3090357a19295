"""`fit`: train on a path, or on rows in memory, without a spec of one's own.

Rows in memory are written to a temporary Parquet file and go the way of all data.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from linreg_dist.api.rows import as_arrow, feature_columns, names_parquet, unique_name, write_rows
from linreg_dist.api.train import train
from linreg_dist.errors import DataError, SpecError
from linreg_dist.jobspec.reading.interpolation import escape
from linreg_dist.limits import let_through
from linreg_dist.run.finished_run import Run
from linreg_dist.run.progress.follow import EventSink
from linreg_dist.wording.names import free_name, some_names

_STORAGE = "run.storage_path"


def fit(
    data: Any, target: Any, *, progress: bool | EventSink = True, verbose: bool = False, **spec: Any
) -> Run:
    """Fit a linear model and return its run.

    Args:
        data: Parquet (a file, folder, glob or URI, or a list of those); or rows in memory: a DataFrame of
            pandas or polars, a pyarrow Table or RecordBatch, a dict of columns, anything with
            ``__arrow_c_stream__``, or a NumPy array (N, D) or of named fields.
        target: the name of the target column, or a list of names. Rows in memory may bring the values
            instead: (N,) or (N, K) numbers.
        progress: as in `linreg_dist.train`.
        verbose: let Ray's log lines through.
        **spec: the rest of the job spec, by sections or by dotted paths:
            ``fit(df, "y", model={"l2": 0.1})``, ``fit(df, "y", **{"model.l2": 0.1, "solver.name": "adam"})``;
            fields of its section ``data`` by paths, such as ``**{"data.missing": "drop"}``.

    Returns:
        The run, with `Run.model`, `Run.summary` and `Run.report`. It has a name of its own unless ``name``
        gives one. On Parquet it is kept in "runs"; on rows in memory its folder goes when it is loaded, and
        model and report stay in memory, unless ``run.storage_path`` or ``name`` is given.

    Raises:
        TypeError: ``data`` or ``target`` is nothing of that kind.
        DataError: the rows do not fit together, or have a type that cannot be trained on.
        LinregDistError: as `linreg_dist.train`.

    """
    base = {key: value for key, value in spec.items() if "." not in key}
    overrides = {key: value for key, value in spec.items() if "." in key}
    for key, argument in (("path", "data"), ("target", "target")):
        if f"data.{key}" in overrides:
            raise SpecError(f"data.{key} is what lr.fit sets from its argument {argument}; remove it")
    is_named = "name" in base
    base.setdefault("name", unique_name())
    if names_parquet(data):
        paths = data if isinstance(data, list | tuple) else [data]
        names = _names(target)
        if names is None:
            raise TypeError(
                f"target is {target!r:.200}; expected the name of a column of the Parquet data, or a list of "
                "names"
            )
        section = {"path": [os.fspath(path) for path in paths], "target": names}
        return train({**base, "data": section}, overrides, verbose=verbose, progress=progress)
    table, names = _table(data, target)
    _refuse_unfit(table, names, type(data).__name__)
    is_kept = is_named or _STORAGE in overrides or "storage_path" in (base.get("run") or {})
    with tempfile.TemporaryDirectory(prefix="linreg_dist-") as scratch:
        file = Path(scratch) / "rows.parquet"
        write_rows(file, table.column_names, table, {})
        section = {"path": [escape(str(file))], "target": [escape(name) for name in names]}
        if not is_kept:
            base["run"] = {**(base.get("run") or {}), "storage_path": escape(scratch)}
        try:
            run = train({**base, "data": section}, overrides, verbose=verbose, progress=progress)
        except DataError as error:  # it names a file that the caller has never seen
            shown = re.sub(re.escape(str(file)) + r"( \(row group \d+\))?", "the rows given", str(error))
            if type(error) is not DataError or shown == str(error):
                raise
            raise DataError(shown) from error
        return run if is_kept else run.detached()


def _refuse_unfit(table: pa.Table, targets: Sequence[str], kind: str) -> None:
    """Refuse rows of which no Parquet file can be made that trains.

    Raises:
        DataError: says what is wrong with them.

    """
    names = table.column_names
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise DataError(
            f"data ({kind}) has {names.count(twice[0])} columns named {twice[0]!r}; expected different names"
        )
    absent = [name for name in targets if name not in names]
    if absent:
        close = get_close_matches(absent[0], names, 1)
        told = f"did you mean {close[0]!r}?" if close else f"it has {some_names(names)}"
        raise DataError(f"data ({kind}) has no column {absent[0]!r} (target); {told}")
    if table.num_rows == 0:
        raise DataError(f"data ({kind}) has no rows; expected rows to fit the model to")


def _names(target: Any) -> list[str] | None:
    """Return the names of target columns; None where they are values."""
    names = [target] if isinstance(target, str) else target
    is_names = isinstance(names, Sequence) and len(names) > 0 and all(isinstance(name, str) for name in names)
    return list(names) if is_names else None


def _table(data: Any, target: Any) -> tuple[pa.Table, list[str]]:
    """Return the rows with their target(s) as one table, and the names of the targets."""
    table = _columns(data)
    names = _names(target)
    if names is not None:
        absent = [name for name in names if name not in table.column_names]
        if absent and isinstance(data, np.ndarray) and data.dtype.names is None:
            raise TypeError(
                f"target is {target!r:.200}, and the columns of a NumPy array have no names; expected the "
                "values of the target, such as lr.fit(X, y)"
            )
        return table, names
    values = _values(target, table.num_rows)
    names = [
        free_name("y" if values.shape[1] == 1 else f"y{k}", table.column_names)
        for k in range(values.shape[1])
    ]
    for name, column in zip(names, values.T, strict=True):
        table = table.append_column(name, pa.array(np.ascontiguousarray(column)))
    return table, names


def _values(target: Any, num_rows: int) -> np.ndarray[Any, np.dtype[Any]]:
    """Return target values as (N, K)."""
    try:
        values = np.asarray(target)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"target is {type(target).__name__}; expected the name of a column, or numbers"
        ) from error
    if values.dtype.kind not in "biuf" or values.ndim not in (1, 2):
        raise TypeError(
            f"target is {type(target).__name__} of type {values.dtype} and shape {values.shape}; expected "
            "the name of a column, a list of names, or numbers (N,) or (N, K)"
        )
    if len(values) != num_rows:
        raise DataError(f"target has {len(values):,} values and data {num_rows:,} rows; expected as many")
    return values.reshape(num_rows, -1)


def _columns(data: Any) -> pa.Table:
    """Return rows in memory as named columns."""
    if isinstance(data, np.ndarray):
        return _of_array(data)
    if isinstance(data, Mapping):
        data = dict(data)
        try:
            return pa.table(data)
        except (pa.ArrowException, TypeError, ValueError) as error:
            raise DataError(f"the columns of data make no table: {error}") from error
    if isinstance(data, pa.RecordBatch):
        return pa.Table.from_batches([data])
    try:
        table = as_arrow(data)
    except Exception as error:  # another library's own kind
        let_through(error)
        raise DataError(f"{type(data).__name__} cannot be read through Arrow: {error}") from error
    if table is not None:
        return table
    if hasattr(data, "select_dtypes") or hasattr(data, "__arrow_c_stream__"):
        column = _culprit(data)
        which = "a column" if column is None else f"the column {column!r}"
        raise DataError(
            f"{which} of the {type(data).__name__} has values that Arrow has no type for, such as mixed "
            "objects; convert it to numbers or to text"
        )
    if hasattr(data, "__array__"):
        return _of_array(np.asarray(data))
    raise TypeError(
        f"data is {type(data).__name__}; expected a path to Parquet, a DataFrame, a pyarrow Table, a dict of "
        "columns, anything with __arrow_c_stream__, or a NumPy array"
    )


def _culprit(data: Any) -> str | None:
    """Return the first column of a DataFrame of pandas that Arrow refuses."""
    for name in getattr(data, "columns", ()):
        try:
            pa.array(data[name], from_pandas=True)
        except (pa.ArrowException, TypeError):
            return str(name)
    return None


def _of_array(array: np.ndarray[Any, np.dtype[Any]]) -> pa.Table:
    if array.dtype.names:
        return pa.table({name: array[name] for name in array.dtype.names})
    if array.ndim != 2 or array.dtype.kind not in "biuf":
        raise DataError(
            f"data is an array of type {array.dtype} and shape {array.shape}; expected numbers of shape "
            "(N, D)"
        )
    names = feature_columns(None, array.shape[1])
    return pa.table([pa.array(np.ascontiguousarray(column)) for column in array.T], names=names)
