"""Row filters in pyarrow's convention: a list of conditions is AND, a list of lists is OR of ANDs."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, Discriminator, Tag, WithJsonSchema

from linreg_dist.jobspec.fields import refuse

OPERATORS = ("=", "==", "!=", "<", ">", "<=", ">=", "in", "not in", "is", "is_not")

Condition = tuple[str, str, Any]
"""``(column, operator, value)``; the value of ``in`` and ``not in`` is a tuple, that of ``is`` None."""


def _is_scalar(value: Any) -> bool:
    not_a_number = isinstance(value, float) and value != value
    return isinstance(value, str | bool | int | float) and not not_a_number


def _check_condition(value: Any) -> Condition:
    """Check one condition by hand, because each of its faults deserves its own sentence."""
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise refuse('expected [column, op, value], for example [distance, ">=", 100]')
    column, op, operand = value
    if not isinstance(column, str) or not column:
        raise refuse("expected a column name as the first element of [column, op, value]")
    if not isinstance(op, str) or op not in OPERATORS:
        raise refuse(
            f"expected one of {' '.join(OPERATORS[:-4])} in, not in, is, is_not as the second element"
        )
    if op in ("is", "is_not"):
        if operand is not None:
            raise refuse(f'expected null after "{op}", as in [carrier, {op}, null]')
        return (column, op, None)
    if op in ("in", "not in"):
        if not isinstance(operand, list | tuple) or not operand or not all(map(_is_scalar, operand)):
            raise refuse(f'expected a list of values after "{op}", for example [carrier, {op}, [AA, UA]]')
        return (column, op, tuple(operand))
    if not _is_scalar(operand):
        raise refuse(f'expected one text, number or boolean after "{op}"')
    return (column, op, operand)


def _kind(value: Any) -> str:
    """Tell a list of conditions ("and") from a list of such lists ("or") by its first element."""
    first = value[0] if isinstance(value, list | tuple) and value else None
    inner = first[0] if isinstance(first, list | tuple) and first else None
    return "or" if isinstance(inner, list | tuple) else "and"


# Draft 2020-12 would describe each position with `prefixItems`, which older editors do not know.
_CONDITION_SCHEMA: dict[str, Any] = {
    "type": "array",
    "description": "[column, op, value]; op is one of = == != < > <= >= in, not in, is, is_not.",
    "minItems": 3,
    "maxItems": 3,
    "items": {"type": ["string", "number", "boolean", "array", "null"]},
}
_FILTER_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "items": _CONDITION_SCHEMA},
        {"type": "array", "items": {"type": "array", "items": _CONDITION_SCHEMA, "minItems": 1}},
    ]
}
_AllOf = tuple[Annotated[Any, AfterValidator(_check_condition)], ...]

Filter = Annotated[
    Annotated[_AllOf, Tag("and")] | Annotated[tuple[_AllOf, ...], Tag("or")],
    Discriminator(_kind),
    WithJsonSchema(_FILTER_SCHEMA),
]
"""The type of ``data.filter``."""


def as_dnf(filter_: Any) -> list[list[Condition]]:
    """Return a checked filter as a list (OR) of lists (AND) of conditions; no filter gives an empty list.

    This is the form that ``pyarrow.parquet.filters_to_expression`` takes, but for the empty list and nulls.
    """
    if not filter_:
        return []
    return [list(group) for group in filter_] if _kind(filter_) == "or" else [list(filter_)]
