"""Row groups that a filter rules out before they are read: by a file's hive keys and its statistics."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds

from linreg_dist.data.predicates import Predicate, bind
from linreg_dist.spec import Condition

_FORMAT = ds.ParquetFileFormat()


def possible_groups(
    tail: bytes,
    size: int,
    schema: pa.Schema,
    dnf: Sequence[Sequence[Condition]],
    constants: Mapping[str, Any],
    constant_kinds: Mapping[str, pa.DataType],
    stored: Mapping[str, str],
) -> frozenset[int] | None:
    """Return the row groups of a file in which a row may satisfy a filter; None if all may.

    What cannot be judged, because a column is not there or has no statistics, may.

    Args:
        tail: the end of the file, with the whole footer.
        size: bytes of the file.
        schema: its columns by their own names.
        dnf: the filter.
        constants, constant_kinds: the columns that have one value in the whole file, and their types.
        stored: its own name of each column that is called otherwise in the file.

    """
    groups = []
    for conditions in dnf:
        expression = _judged(conditions, schema, constants, constant_kinds, stored)
        if expression is True:
            return None
        if expression is not False:
            groups.append(expression)
    if not groups:
        return frozenset()
    wanted = groups[0]
    for expression in groups[1:]:
        wanted = wanted | expression
    try:
        fragment = _FORMAT.make_fragment(pa.PythonFile(_Tail(tail, size), "r"))
        return frozenset(group.id for group in fragment.subset(wanted).row_groups)
    except (pa.ArrowException, OSError, ValueError, TypeError):
        return None  # whoever reads the file says what is wrong with it


def _judged(
    conditions: Sequence[Condition],
    schema: pa.Schema,
    constants: Mapping[str, Any],
    constant_kinds: Mapping[str, pa.DataType],
    stored: Mapping[str, str],
) -> Any:
    """Return an expression that a row group must satisfy; True or False where that is known already."""
    found = None
    for condition in conditions:
        name = condition[0]
        own = stored.get(name, name)
        try:
            if name in constants and own not in schema.names:
                kind = constant_kinds[name]
                if not bind(condition, kind).mask(pa.array([constants[name]], kind)).all():
                    return False
                continue
            if schema.get_field_index(own) < 0:
                continue
            kind = schema.field(own).type
            predicate: Predicate = bind(condition, kind)
            expression = predicate.expression(own, kind)
        except (pa.ArrowException, ValueError, TypeError, OverflowError):
            continue  # whoever binds the filter says so
        if expression is not None:
            found = expression if found is None else found & expression
    return True if found is None else found


class _Tail(io.RawIOBase):
    """A file of which only the end is there; what comes before reads as zeros."""

    def __init__(self, tail: bytes, size: int) -> None:
        self._tail, self._size, self._at = tail, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._at + size)
        begin = self._size - len(self._tail)
        zeros = bytes(max(0, min(end, begin) - self._at))
        found = zeros + self._tail[max(0, self._at - begin) : max(0, end - begin)]
        self._at = max(self._at, end)
        return found
