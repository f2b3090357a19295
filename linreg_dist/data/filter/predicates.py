"""Conditions of ``data.filter`` on columns of any type: the value is taken in the column's own terms.

A value is exact: integers, decimals and times are compared as the whole numbers that they are stored as, so
``[x, <, 2.5]`` on integers is x ≤ 2 and nothing is rounded beyond 2^24. A floating-point column compares in
its own precision. Text stands for any type it can be read as. Null satisfies no comparison but ``not in``, as
in pyarrow's filters; NaN is a number that is unequal to every other, and no null.
"""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist.data.filter.times import read_time
from linreg_dist.errors import DataError

if TYPE_CHECKING:  # the program that `pushdown` starts loads no pydantic
    import pyarrow.compute as pc

    from linreg_dist.jobspec import Condition

# Names in `pyarrow.compute`, whose loading is a tenth of the time that showing a model takes: a job without a
# filter loads it not.
_COMPARE = {
    "==": "equal",
    "!=": "not_equal",
    "<": "less",
    "<=": "less_equal",
    ">": "greater",
    ">=": "greater_equal",
}
_EXPRESSIONS: dict[str, Callable[..., Any]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_ORDER_OF_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True)
class Predicate:
    """A condition bound to a column's type.

    Attributes:
        name: of the column.
        op: a comparison, ``in``, ``not in``, ``null``, ``valid``, ``never`` or ``always`` (for all but null).
        kind: what the column is compared as; it may be wider than its own type.
        values: one scalar for a comparison, an array for ``in`` and ``not in``.

    """

    name: str
    op: str
    kind: pa.DataType
    values: Any = None

    def mask(self, column: pa.ChunkedArray | pa.Array) -> npt.NDArray[np.bool_]:
        """Return which rows satisfy it, (N,)."""
        chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
        found = [self._mask_of(chunk) for chunk in chunks]
        return np.concatenate(found) if found else np.zeros(0, bool)

    def _mask_of(self, array: pa.Array) -> npt.NDArray[np.bool_]:
        import pyarrow.compute as pc

        if self.op == "null":
            return np.asarray(array.is_null())
        if self.op in ("valid", "always"):
            return np.asarray(array.is_valid())
        if self.op == "never":
            return np.zeros(len(array), bool)
        if pa.types.is_dictionary(array.type):
            of_levels = pa.array(self._mask_of(array.dictionary))
            taken = of_levels.take(array.indices).fill_null(self.op == "not in")
            return np.asarray(taken)
        if isinstance(array, pa.ExtensionArray):
            array = array.storage
        if array.type != self.kind:
            array = array.cast(self.kind)
        if self.op in ("in", "not in"):
            inside = pc.is_in(array, value_set=self.values)
            return np.asarray(inside if self.op == "in" else pc.invert(inside))
        return np.asarray(getattr(pc, _COMPARE[self.op])(array, self.values).fill_null(False))

    def expression(self, stored: str, kind: pa.DataType) -> pc.Expression | None:
        """Return what row groups can be judged by; None says nothing.

        NaN satisfies ``!=`` and statistics do not count it, so what excludes a value judges nothing.

        Args:
            stored: the column's own name in the file.
            kind: its type there.

        """
        import pyarrow.compute as pc

        field = pc.field(stored)
        if self.op == "null":
            return field.is_null()
        if self.op in ("valid", "always"):
            return field.is_valid()
        if self.op == "never":
            return pc.scalar(False)
        if kind != self.kind and not pa.types.is_dictionary(kind):
            return None
        if self.op == "in":
            return field.isin(self.values)
        return _EXPRESSIONS[self.op](field, self.values) if self.op in _EXPRESSIONS else None


def bind(condition: Condition, kind: pa.DataType) -> Predicate:
    """Return a condition on a column of type ``kind``.

    Raises:
        ValueError: the value stands for nothing of that type; says what was expected.

    """
    name, op, value = condition
    op = "==" if op == "=" else op
    if op in ("is", "is_not"):
        return Predicate(name, "null" if op == "is" else "valid", kind)
    plain = _plain(kind)
    if pa.types.is_null(plain):
        return Predicate(name, "not in" if op == "not in" else "never", plain, pa.nulls(0))
    read = _reader(plain)
    if op in ("in", "not in"):
        return Predicate(name, op, plain, read.several([read.exact(item) for item in value]))
    return read.compare(name, op, read.exact(value))


def bind_all(
    dnf: Sequence[Sequence[Condition]], kinds: Mapping[str, pa.DataType], where: str
) -> list[list[Predicate]]:
    """Return a filter for columns of these types.

    Raises:
        DataError: a value does not fit a column; names the column, the value and the type.

    """
    return [[_bind_or_refuse(condition, kinds[condition[0]], where) for condition in group] for group in dnf]


def _bind_or_refuse(condition: Condition, kind: pa.DataType, where: str) -> Predicate:
    try:
        found = bind(condition, kind)
        found.mask(pa.array([], kind))
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        name, op, value = condition
        shown = list(value) if isinstance(value, tuple) else value
        raise DataError(
            f"{where}: data.filter [{name}, {op}, {shown!r}]: {shown!r} does not fit the column {name!r} of "
            f"type {kind}: {error}"
        ) from error
    return found


def rows_kept(predicates: Sequence[Sequence[Predicate]], table: pa.Table) -> npt.NDArray[np.bool_]:
    """Return which rows satisfy a filter, (N,): one of its groups whole."""
    kept = np.zeros(table.num_rows, bool)
    for group in predicates:
        mask = np.ones(table.num_rows, bool)
        for predicate in group:
            mask &= predicate.mask(table.column(predicate.name))
        kept |= mask
    return kept


class _Reader(ABC):
    """How values are read for columns of one kind; text, truth and floating point compare as they are."""

    def __init__(self, kind: pa.DataType) -> None:
        self.kind = kind

    @abstractmethod
    def exact(self, value: Any) -> Any:
        """Return a value of a filter in the column's own terms; ValueError says why it has none."""

    def several(self, values: Sequence[Any]) -> pa.Array:
        return pa.array([value for value in values if value is not None], self.kind)

    def compare(self, name: str, op: str, value: Any) -> Predicate:
        return Predicate(name, op, self.kind, pa.scalar(value, self.kind))


class _Text(_Reader):
    def exact(self, value: Any) -> Any:
        if not isinstance(value, str):
            raise ValueError(f'expected text; put it in quotes if it is one: "{value}"')
        is_bytes = pa.types.is_binary(self.kind) or pa.types.is_large_binary(self.kind)
        return value.encode() if is_bytes else value


class _Truth(_Reader):
    def exact(self, value: Any) -> bool:
        if isinstance(value, str):
            value = _ORDER_OF_TRUTH.get(value.strip().lower(), value)
        if value in (0, 1):  # True and False are among them
            return bool(value)
        raise ValueError("expected true or false")


class _Floating(_Reader):
    def exact(self, value: Any) -> float:
        number = _number(value)
        if isinstance(number, Fraction):
            return float(number) if abs(number) < Fraction(2) ** 1024 else math.copysign(math.inf, number)
        return number

    def several(self, values: Sequence[Any]) -> pa.Array:
        return pa.array(values, pa.float64()).cast(self.kind)

    def compare(self, name: str, op: str, value: Any) -> Predicate:
        return Predicate(name, op, self.kind, pa.scalar(value, pa.float64()).cast(self.kind))


class _Whole(_Reader):
    """For columns of whole numbers of a unit: integers, decimals, all times.

    Args:
        kind: the type.
        low, high: what it can hold, in its unit.
        read: a value in that unit, exactly.
        scalar: a whole number of units as one of the column's values.

    """

    def __init__(
        self,
        kind: pa.DataType,
        low: int,
        high: int,
        read: Callable[[Any], Fraction | float],
        array: Callable[[list[int]], pa.Array],
    ) -> None:
        super().__init__(kind)
        self._low, self._high, self._read, self._array = low, high, read, array

    def exact(self, value: Any) -> Fraction | float:
        return self._read(value)

    def several(self, values: Sequence[Any]) -> pa.Array:
        whole = [int(v) for v in values if math.isfinite(v) and v == int(v) and self._low <= v <= self._high]
        return self._array(whole)

    def compare(self, name: str, op: str, value: Fraction | float) -> Predicate:
        if op in ("==", "!="):
            found = self.several([value])
            if len(found):
                return Predicate(name, op, self.kind, found[0])
            return Predicate(name, "never" if op == "==" else "always", self.kind)
        below = op in ("<", "<=")
        if math.isinf(value):
            return Predicate(name, "always" if (value > 0) == below else "never", self.kind)
        bound = {"<": math.ceil(value) - 1, "<=": math.floor(value)}.get(op)
        if bound is None:
            bound = math.floor(value) + 1 if op == ">" else math.ceil(value)
        all_in = bound >= self._high if below else bound <= self._low
        none_in = bound < self._low if below else bound > self._high
        if all_in or none_in:
            return Predicate(name, "always" if all_in else "never", self.kind)
        return Predicate(name, "<=" if below else ">=", self.kind, self._array([bound])[0])


def _plain(kind: pa.DataType) -> pa.DataType:
    """Return the type to compare a column as: without dictionaries, views and what has no comparison."""
    types = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return _plain(kind.storage_type)
    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    if types.is_string_view(kind):
        return pa.string()
    if types.is_binary_view(kind) or types.is_fixed_size_binary(kind):
        return pa.binary()
    if types.is_float16(kind):
        return pa.float32()
    if types.is_date64(kind):  # milliseconds, of whole days only
        return pa.date32()
    if types.is_decimal(kind) and kind.bit_width < 128:
        return pa.decimal128(kind.precision, kind.scale)
    return kind


def _reader(kind: pa.DataType) -> _Reader:
    """Return how values for a column of a plain type are read.

    Raises:
        ValueError: no value can be compared with such a column.

    """
    types = pa.types
    if any(
        is_text(kind)
        for is_text in (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    ):
        return _Text(kind)
    if types.is_boolean(kind):
        return _Truth(kind)
    if types.is_floating(kind):
        return _Floating(kind)
    if types.is_integer(kind):
        signed = types.is_signed_integer(kind)
        low = -(1 << (kind.bit_width - 1)) if signed else 0
        high = (1 << (kind.bit_width - signed)) - 1
        return _Whole(kind, low, high, _number, lambda values: pa.array(values, kind))
    if types.is_decimal(kind):
        most = 10**kind.precision - 1
        unit = Fraction(10) ** kind.scale
        return _Whole(kind, -most, most, lambda v: _number(v) * unit, lambda v: _decimals(v, kind))
    if types.is_temporal(kind) and not types.is_interval(kind):
        width = kind.bit_width
        low, high = -(1 << (width - 1)), (1 << (width - 1)) - 1
        integer = pa.int32() if width == 32 else pa.int64()
        return _Whole(
            kind, low, high, lambda v: read_time(v, kind), lambda v: pa.array(v, integer).cast(kind)
        )
    raise ValueError("a column of this type is compared with nothing; [column, is, null] alone can be asked")


def _decimals(values: list[int], kind: pa.DataType) -> pa.Array:
    from decimal import Context, Decimal

    exactly = Context(prec=100)
    return pa.array([Decimal(value).scaleb(-kind.scale, exactly) for value in values], kind)


def _number(value: Any) -> Fraction | float:
    """Return a number exactly; a float stands for the decimal number that it is written as, ±inf for itself.

    Raises:
        ValueError: it is none.

    """
    if isinstance(value, bool):
        return Fraction(int(value))
    if isinstance(value, float) and math.isinf(value):
        return value
    try:
        return Fraction(repr(value) if isinstance(value, float) else value)
    except (ValueError, ZeroDivisionError):
        raise ValueError("expected a number") from None
