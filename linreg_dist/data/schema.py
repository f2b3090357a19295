"""The columns of a data set of many files: the union of what they have, each column of one type.

A column that a file lacks, or holds as Arrow's null type (pandas writes a column without any value so), is
missing in the rows of that file. Numbers widen: bool to integer, integers to the wider one, and whatever
meets a floating-point or decimal number to floating point. Types that do not widen are told apart where a
column is used.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from linreg_dist.data.design.types import is_list_of_numbers, is_numeric, is_text

_INTEGERS = {
    np.dtype(kind.to_pandas_dtype()): kind
    for kind in (
        pa.int8(),
        pa.int16(),
        pa.int32(),
        pa.int64(),
        pa.uint8(),
        pa.uint16(),
        pa.uint32(),
        pa.uint64(),
    )
}
_FLOATS = {np.dtype("f2"): pa.float16(), np.dtype("f4"): pa.float32(), np.dtype("f8"): pa.float64()}


def union_schema(schemas: Iterable[pa.Schema], keys: Mapping[str, pa.DataType]) -> pa.Schema:
    """Return every column of ``schemas``, in the order in which they first appear, then the hive keys.

    Args:
        schemas: of the files.
        keys: types of the hive keys; a column of a file goes before a key of its name.

    """
    types: dict[str, pa.DataType] = {}
    previous: pa.Schema | None = None
    for schema in schemas:
        if previous is not None and schema.equals(previous):
            continue
        previous = schema
        for name, kind in zip(schema.names, schema.types, strict=True):
            types[name] = (widened(types[name], kind) or types[name]) if name in types else kind
    for name, kind in keys.items():
        types.setdefault(name, kind)
    return pa.schema(list(types.items()))


def in_order(schema: pa.Schema, tables: Iterable[pa.Schema]) -> pa.Schema:
    """Return ``schema`` with the columns of ``tables`` first, in their order and with their widths."""
    types = dict(zip(schema.names, schema.types, strict=True))
    first: dict[str, pa.DataType] = {}
    for table in tables:
        for name, kind in zip(table.names, table.types, strict=True):
            if name in types:
                own = first.get(name, types[name])
                wide = is_numeric(own) and is_numeric(kind)
                first[name] = (widened(own, kind) or own) if wide else own
    return pa.schema(list((first | {k: v for k, v in types.items() if k not in first}).items()))


def widened(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both, None where there is none."""
    if one.equals(other) or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if is_numeric(one) and is_numeric(other):
        if pa.types.is_boolean(one):
            return other
        if pa.types.is_boolean(other):
            return one
        if pa.types.is_decimal(one) or pa.types.is_decimal(other):
            return pa.float64()
        kind = np.promote_types(one.to_pandas_dtype(), other.to_pandas_dtype())
        return _INTEGERS.get(kind) or _FLOATS.get(kind, pa.float64())
    if is_list_of_numbers(one) and is_list_of_numbers(other):
        values = widened(one.value_type, other.value_type)
        fixed = pa.types.is_fixed_size_list(one) and pa.types.is_fixed_size_list(other)
        return pa.list_(values, one.list_size if fixed and one.list_size == other.list_size else -1)
    return one if is_text(one) and is_text(other) else None


def widenings(schemas: Iterable[tuple[str, pa.Schema]], union: pa.Schema) -> dict[str, str]:
    """Return the columns of which files have different types of number or text, with a sentence for each.

    Args:
        schemas: of the files, each with the file's name.
        union: what `union_schema` made of them.

    """
    first: dict[str, dict[pa.DataType, str]] = {}
    previous: pa.Schema | None = None
    for uri, schema in schemas:
        if previous is None or not schema.equals(previous):
            for name, kind in zip(schema.names, schema.types, strict=True):
                if not pa.types.is_null(kind):
                    first.setdefault(name, {}).setdefault(kind, uri)
        previous = schema
    found = {}
    for name, kinds in first.items():
        if len(kinds) > 1:
            listed = " and ".join(f"{kind} in {uri}" for kind, uri in kinds.items())
            found[name] = f"{listed}: taken as {union.field(name).type}"
    return found


def pandas_index(schema: pa.Schema) -> tuple[str, ...]:
    """Return the columns in which pandas keeps a table's index, as the file's metadata name them."""
    stored = (schema.metadata or {}).get(b"pandas")
    try:
        document: Any = json.loads(stored) if stored else {}
        columns = document.get("index_columns", ())
        return tuple(name for name in columns if isinstance(name, str))
    except (ValueError, AttributeError, TypeError, RecursionError):  # metadata that anybody may have written
        return ()
