"""The choices of a drafted spec: the target, the features, what is left out and why, what to do with gaps."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from linreg_dist.data.design.columns import check_columns, check_numbers, columns_left_out
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.errors import DataError, SpecError
from linreg_dist.verbs.begin.look import ColumnFacts, Facts
from linreg_dist.wording.numbers import format_count
from linreg_dist.wording.text import safe_name

_USUAL_TARGETS = {"target", "y", "label", "response", "outcome", "dependent"}
_ID_NAME = re.compile(r"(?:.*[_ -])?(?:id|uuid|guid)|.*[a-z]I[Dd]", re.ASCII)
_ROW_NAME = re.compile(r"(?i)index|idx|row|row_?n(?:r|o|um|umber)|unnamed: ?\d+|__index_level_\d+__")
_MOST_LEVELS = 1000  # data.max_levels
_SURE_LEVELS = 500  # where not all rows were looked at
_FEW_LEVELS = 25
_FEW_VALUES = 20
_MOSTLY = 0.5
_SHOWN = 40


@dataclass(frozen=True)
class Choices:
    """What a drafted spec says.

    Attributes:
        targets: columns to predict.
        why: a sentence if the target was guessed, else None.
        features: the columns to predict from, each with a note.
        categorical: those of them that are levels.
        left_out: the other columns, each with the reason.
        missing: ``data.missing``, and the sentence that explains it.
        validation: whether rows are held out, and the sentence that explains it.

    """

    targets: tuple[str, ...]
    why: str | None
    features: dict[str, str]
    categorical: tuple[str, ...]
    left_out: dict[str, str]
    missing: tuple[str, str]
    validation: tuple[bool, str]


def choose(facts: Facts, manifest: Manifest, targets: Sequence[str]) -> Choices:
    """Make the choices.

    Args:
        facts: of a look at the data.
        manifest: of the data.
        targets: what the user wants to predict; empty to take what is obvious.

    Raises:
        SpecError: no target was given, and which column it is is not obvious; lists those it can be.
        DataError: a target is no number that varies, or no column is left to predict it from.

    """
    why = None
    if targets:
        _check_targets(facts, manifest, targets)
    else:
        target, why = _obvious_target(facts, manifest)
        targets = (target,)
    chosen = {name: facts.columns[name] for name in targets}
    left_out = _left_out(facts, manifest, targets)
    names = [name for name in manifest.schema.names if name not in left_out and name not in chosen]
    if not names:
        reasons = "".join(f"\n  {safe_name(name)}: {reason}" for name, reason in left_out.items())
        raise DataError(f"no column is left to predict {', '.join(map(safe_name, targets))} from:{reasons}")
    used = [facts.columns[name] for name in names if name in facts.columns]
    return Choices(
        targets=tuple(targets),
        why=why,
        features={name: _note(name, facts, manifest, chosen) for name in names},
        categorical=tuple(column.name for column in used if not column.is_number),
        left_out=left_out,
        missing=_missing(facts, used, list(chosen.values()), whole=len(used) == len(names)),
        validation=_validation(facts),
    )


def describe_column(column: ColumnFacts) -> str:
    """Return type, range or number of levels, and missing values, in some words."""
    parts = [_type_name(column.type)]
    if not column.is_number:
        parts.append(f"{format_count(column.distinct)} different texts")
    elif pa.types.is_boolean(column.type):
        pass
    elif column.least is not None:
        parts.append(f"{_number(column.least)} to {_number(column.most)}")
    missing = int(column.missing_N.sum())
    if missing:
        share = 100 * missing / len(column.missing_N)
        parts.append(f"{format_count(missing)} missing ({share:.2g} %)")
    return ", ".join(parts)


def _check_targets(facts: Facts, manifest: Manifest, targets: Sequence[str]) -> None:
    check_columns([(name, "target") for name in targets], manifest)
    check_numbers([(name, "target") for name in targets], manifest)
    for name in targets:
        if facts.columns[name].distinct < 2:
            raise DataError(
                f"the target {name!r} is {_constant(facts.columns[name], facts)}: nothing can be "
                "learnt; choose another with --target"
            )


def _obvious_target(facts: Facts, manifest: Manifest) -> tuple[str, str]:
    """Return the column that everybody would predict, and why."""
    candidates = [
        column
        for column in facts.columns.values()
        if column.is_number and column.distinct > 1 and _identifier(column) is None
    ]
    usual = [column.name for column in candidates if column.name.lower() in _USUAL_TARGETS]
    if len(usual) == 1:
        return usual[0], "taken by its name; --target chooses another"
    if len(candidates) == 1:
        return candidates[0].name, "the only number that varies"
    if not candidates:
        listed = ", ".join(f"{safe_name(name)} ({kind})" for name, kind in _types(manifest).items())
        raise DataError(f"no column is a number that varies, so there is nothing to predict; found {listed}")
    lines = [f"  {safe_name(column.name)}: {describe_column(column)}" for column in candidates[:_SHOWN]]
    more = [f"  and {len(candidates) - _SHOWN} more"] if len(candidates) > _SHOWN else []
    raise SpecError(
        "\n".join(
            [
                "which column is to be predicted? Give its name with --target. The numbers that vary in this "
                "data are",
                *lines,
                *more,
            ]
        )
    )


def _types(manifest: Manifest) -> dict[str, str]:
    return {field.name: str(field.type) for field in list(manifest.schema)[:_SHOWN]}


def _left_out(facts: Facts, manifest: Manifest, targets: Sequence[str]) -> dict[str, str]:
    by_kind = columns_left_out(manifest)
    found = {}
    for name in manifest.schema.names:
        if name in targets:
            continue
        reason = by_kind.get(name)
        column = facts.columns.get(name)
        if reason is None and column is not None:
            reason = _reason(column, facts)
        if reason is not None:
            found[name] = reason
    return found


def _reason(column: ColumnFacts, facts: Facts) -> str | None:
    """Return why a column is not fit to be a feature; None if it is."""
    if not column.present:
        return f"it has no value{_in_these(facts)}"
    if column.distinct == 1:
        return _constant(column, facts)
    missing = column.missing_N.mean()
    if missing > _MOSTLY:
        return f"{100 * missing:.0f} % of its values are missing{_in_these(facts)}"
    if column.is_number:
        return _identifier(column)
    most = _MOST_LEVELS if facts.is_all else _SURE_LEVELS
    if column.expected > most:
        many = f"{'' if facts.is_all else 'about '}{format_count(column.expected)}"
        return f"{many} different texts: an identifier, or free text"
    if column.present > _FEW_LEVELS and column.distinct > column.present * _MOSTLY:
        rows = f"{format_count(column.present)} rows"
        return f"{format_count(column.distinct)} different texts in {rows}: an identifier"
    return None


def _identifier(column: ColumnFacts) -> str | None:
    """Return why a number is a name and no quantity; None if it may be one."""
    if not column.is_whole:
        return None
    if _ID_NAME.fullmatch(column.name):
        return "an identifier by its name; its numbers are no quantities"
    unique = column.distinct == column.present > _FEW_VALUES
    if unique and _ROW_NAME.fullmatch(column.name):
        return "it numbers the rows"
    if unique and column.in_order and int(column.most) - int(column.least) < 2 * column.present:
        return "it numbers the rows"
    return None


def _constant(column: ColumnFacts, facts: Facts) -> str:
    if not column.present:
        return f"without any value{_in_these(facts)}"
    value = _number(column.least) if column.is_number else repr(safe_name(column.example[:_SHOWN]))
    where = "in every row" if column.missing_N.sum() == 0 else "wherever it has a value"
    return f"constant: {value} {where}{_in_these(facts)}"


def _in_these(facts: Facts) -> str:
    return "" if facts.is_all else f" in the {format_count(facts.rows_looked_at)} rows looked at"


def _note(name: str, facts: Facts, manifest: Manifest, targets: Mapping[str, ColumnFacts]) -> str:
    """Return what a feature is like, and what to look at before it is trusted."""
    column = facts.columns.get(name)
    if column is None:
        return _type_name(manifest.schema.field(name).type)
    note = describe_column(column)
    if column.is_number and not pa.types.is_boolean(column.type):
        for target in targets.values():
            both = ~(column.missing_N | target.missing_N)
            r = _correlation(column, target, both)
            if abs(r) > 0.98:
                note += (
                    f"; CHECK: it follows {safe_name(target.name)} closely (r = {r:.4f}); is it known before?"
                )
        if column.is_whole and column.distinct <= _FEW_VALUES:
            note += f"; {column.distinct} values, may be levels: categorical: {{…: auto}}"
    return note


def _correlation(one: ColumnFacts, other: ColumnFacts, rows: Any) -> float:
    if one.values_N is None or other.values_N is None or rows.sum() < 3:
        return 0.0
    x, y = one.values_N[rows], other.values_N[rows]
    with np.errstate(all="ignore"):
        x, y = x - x.mean(), y - y.mean()
        r = (x @ y) / np.sqrt((x @ x) * (y @ y))
    return float(r) if np.isfinite(r) else 0.0


def _missing(
    facts: Facts, features: Sequence[ColumnFacts], targets: Sequence[ColumnFacts], *, whole: bool
) -> tuple[str, str]:
    gaps = np.zeros(facts.rows_looked_at, dtype=bool)
    for column in features:
        gaps |= column.missing_N
    without_target = np.zeros_like(gaps)
    for column in targets:
        without_target |= column.missing_N
    share = 100 * float(gaps.mean()) if gaps.size else 0.0
    seen = _in_these(facts)
    if not gaps.any() and not without_target.any() and facts.is_all and whole:
        return "error", "nothing is missing; a gap in later data is an error. Else: drop, mean"
    if gaps.mean() <= _MOSTLY:
        number = int((gaps | without_target).sum())
        return (
            "drop",
            f"leaves out rows with a gap: {format_count(number)} of {format_count(gaps.size)}{seen}. "
            "Else: mean, error",
        )
    return (
        "mean",
        f"{share:.0f} % of the rows have a gap{seen}: the column's mean takes its place. Else: drop, error",
    )


def _validation(facts: Facts) -> tuple[bool, str]:
    if facts.rows < 2 * _FEW_LEVELS:
        return False, "too few rows to hold some out"
    return True, "a fifth of the rows measures the model and does not train"


def _type_name(kind: pa.DataType) -> str:
    return "text" if pa.types.is_string(kind) or pa.types.is_large_string(kind) else safe_name(str(kind))


def _number(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return format_count(value) if abs(value) > 9999 else str(value)
    return f"{float(value):.6g}"
