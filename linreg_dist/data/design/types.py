"""Families of Arrow types: which are numbers as they are, and which are text."""

from __future__ import annotations

import pyarrow as pa


def is_numeric(kind: pa.DataType) -> bool:
    """Return whether a column of this type is used as a number as it is (booleans are 0 and 1)."""
    return bool(
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def is_text(kind: pa.DataType) -> bool:
    """Return whether values of this type are text, with or without a mark that says it is UTF-8."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    return is_string(kind) or bool(binary)


def is_string(kind: pa.DataType) -> bool:
    """Return whether a column of this type is encoded by its levels unless told otherwise."""
    if pa.types.is_dictionary(kind):
        return is_string(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_list_of_numbers(kind: pa.DataType) -> bool:
    """Return whether each value of this type is a list of numbers."""
    is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(is_list) and is_numeric(kind.value_type)
