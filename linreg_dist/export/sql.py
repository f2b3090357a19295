"""The export to SQL: one expression a target, in any dialect that sqlglot writes.

The file is what a SELECT lists: ``SELECT id, <the file> FROM table``. It names columns as the data does.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar

from linreg_dist.errors import SpecError
from linreg_dist.export.format import Format
from linreg_dist.wording.names import some_names

if TYPE_CHECKING:
    from sqlglot import exp

    from linreg_dist.export.terms import LevelTerm, NumberTerm
    from linreg_dist.model.linear_model import LinearModel

_USUAL = "duckdb"
_LARGEST = "1.7976931348623157E308"
_WITHOUT_LISTS = ("mysql", "oracle", "redshift", "sqlite", "tsql", "fabric", "doris", "starrocks")


class Sql(Format):
    """A file ``model.sql`` with an expression for each target, named as `predict` names its columns."""

    name: ClassVar[str] = "sql"
    needs: ClassVar[tuple[str, ...]] = ("sqlglot",)
    place: ClassVar[str] = "model.sql"
    has_dialects: ClassVar[bool] = True

    def files(self, model: LinearModel, dialect: str | None = None) -> Mapping[str, bytes]:
        """Return the text of the file.

        Raises:
            SpecError: sqlglot has no such dialect, or the dialect no lists, or a column cannot be computed.

        """
        from linreg_dist.export.terms import prediction_names

        chosen = _USUAL if dialect is None else dialect
        named = zip(prediction_names(model), expressions(model, chosen), strict=True)
        listed = ",\n".join(f"{text} AS {_quoted(name, chosen)}" for name, text in named)
        return {"": f"{listed}\n".encode()}


def expressions(model: LinearModel, dialect: str = _USUAL) -> list[str]:
    """Return the SQL expression of each target.

    A row that `predict` refuses, or for which it gives null, is NULL. Sums are nested by halves, so that a
    thousand features are no thousand levels of nesting.

    Raises:
        SpecError: see `Sql.files`.

    """
    from linreg_dist.export.terms import NumberTerm, terms

    _check(dialect)
    found = terms(model)
    lists = [term.name for term in found if isinstance(term, NumberTerm) and term.length is not None]
    if lists and dialect in _WITHOUT_LISTS:
        raise SpecError(
            f"the model cannot be exported to SQL in the dialect {dialect}, which has no lists: its columns "
            f"{some_names(lists)} are lists of numbers. Choose another dialect"
        )
    made = []
    for k in range(len(model.targets)):
        parts = [_number(float(model.intercept_K[k]))]
        for term in found:
            parts += _of_numbers(term, k) if isinstance(term, NumberTerm) else [_of_level(term, k)]
        made.append(_sum(parts).sql(dialect=dialect, copy=False))
    return made


def _check(dialect: str) -> None:
    from sqlglot.dialects.dialect import Dialect

    known = sorted(name for name in Dialect.classes if name)
    if dialect not in known:
        raise SpecError(
            f"--dialect {dialect} is none that sqlglot writes; expected one of {', '.join(known)}"
        )


def _of_numbers(term: NumberTerm, k: int) -> list[exp.Expression]:
    from sqlglot import exp

    column = _column(term.name)
    if term.length is None:
        return [_of_number(column, float(term.coef_KL[k, 0]), float(term.fill_L[0]))]
    # A list of another length is refused by `predict`; one that is null has only missing values.
    size = exp.ArraySize(this=column.copy())
    unequal = exp.NEQ(this=size, expression=exp.Literal.number(term.length))
    parts: list[exp.Expression] = [_case([(unequal, exp.Null())], _number(0.0))]
    for place in range(term.length):
        value = exp.Bracket(this=column.copy(), expressions=[exp.Literal.number(place)])
        parts.append(_of_number(value, float(term.coef_KL[k, place]), float(term.fill_L[place])))
    return parts


def _of_number(value: exp.Expression, coef: float, fill: float) -> exp.Expression:
    """Return coefficient · value, the fill in place of a value that is null, NaN or infinite.

    NaN is above every number, or compares with none: both are not at most the largest number.
    """
    from sqlglot import exp

    double = exp.cast(value, exp.DataType.Type.DOUBLE)
    usable = exp.LTE(this=exp.Abs(this=double), expression=exp.Literal.number(_LARGEST))
    product = exp.Mul(this=_number(coef), expression=double.copy())
    return _case([(usable, product)], _number(coef * fill))


def _of_level(term: LevelTerm, k: int) -> exp.Expression:
    from sqlglot import exp

    column = _column(term.name)
    is_null = exp.Is(this=column, expression=exp.Null())
    looked_up: list[tuple[exp.Expression, exp.Expression]] = [
        (_literal(level), _number(float(value)))
        for level, value in zip(term.levels, term.value_VK[:, k], strict=True)
    ]
    unseen = _number(float(term.unseen_K[k]))
    known = _case(looked_up, unseen, column.copy()) if looked_up else unseen
    return _case([(is_null, _number(float(term.missing_K[k])))], known)


def _case(
    branches: list[tuple[exp.Expression, exp.Expression]], otherwise: Any, this: Any = None
) -> exp.Expression:
    from sqlglot import exp

    ifs = [exp.If(this=condition, true=value) for condition, value in branches]
    return exp.Case(this=this, ifs=ifs, default=otherwise)


def _sum(parts: list[exp.Expression]) -> exp.Expression:
    from sqlglot import exp

    while len(parts) > 1:
        pairs = [parts[at : at + 2] for at in range(0, len(parts), 2)]
        parts = [
            exp.Paren(this=reduce(lambda a, b: exp.Add(this=a, expression=b), pair))
            if len(pair) == 2
            else pair[0]
            for pair in pairs
        ]
    return parts[0]


def _column(name: str) -> exp.Expression:
    from sqlglot import exp

    return exp.Column(this=exp.to_identifier(name, quoted=True))


def _number(value: float) -> exp.Expression:
    """Return a number with all its digits, NULL for NaN.

    With an exponent it is binary floating-point in every dialect; without one some take it for a decimal.
    """
    from sqlglot import exp

    if value != value:
        return exp.Null()
    text = repr(abs(value)).upper()
    literal = exp.Literal.number(text if "E" in text else f"{text}E0")
    return exp.Neg(this=literal) if value < 0 else literal


def _literal(level: Any) -> exp.Expression:
    from sqlglot import exp

    if isinstance(level, bool):
        return exp.Boolean(this=level)
    if isinstance(level, int):
        literal = exp.Literal.number(abs(level))
        return exp.Neg(this=literal) if level < 0 else literal
    if "\0" in level:
        raise SpecError(
            f"the model cannot be exported to SQL: its level {level!r} has the character U+0000, which SQL "
            "texts cannot have"
        )
    return exp.Literal.string(level)


def _quoted(name: str, dialect: str) -> str:
    from sqlglot import exp

    return str(exp.to_identifier(name, quoted=True).sql(dialect=dialect))
