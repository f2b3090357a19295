"""Statistics whose columns have different levels, brought to one encoding: all levels, zero where absent.

The 0/1 columns of one set of levels are affine functions of those of another: a level that is new is zero
everywhere, and the base of before, where it is the base no more, is one less all the others. So the moments
follow exactly, mean' = A·mean + b and S' = A·S·A', and no row is read.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from linreg_dist.data.design.encoding import Encoding
from linreg_dist.errors import DataError
from linreg_dist.stats.artefact import Artefact, canonical
from linreg_dist.stats.moments import Moments

Names = tuple[str, str]
"""The user's names for the two sides, for messages."""


def in_one_encoding(left: Artefact, right: Artefact, names: Names, verb: str) -> tuple[Artefact, Artefact]:
    """Return both sides in an encoding that has the levels of both.

    Args:
        left, right: the statistics.
        names: what a user calls them.
        verb: merge or subtract; what is subtracted has no level of its own.

    Raises:
        DataError: they cannot be brought together; says why, in words, for every column.

    """
    _refuse_other_rules(left, right, names, verb)
    if canonical(left.encodings) == canonical(right.encodings):
        return left, right
    ours, theirs = Encoding.from_json(left.encodings), Encoding.from_json(right.encodings)
    columns, problems = [], []
    for mine, other in zip(ours.columns, theirs.columns, strict=True):
        try:
            columns.append(mine.united(other))
            if mine.name in _listed(left, right) and columns[-1] != mine:
                problems.append(
                    f"{mine.name}: its levels are listed in the spec, and rows of other levels count as the "
                    "base level (data.unseen: zero), from which they cannot be told apart"
                )
            if verb == "subtract" and (lacking := mine.lacks(other)):
                problems.append(f"{names[0]} has no {lacking} of {mine.name}, which {names[1]} has")
        except ValueError as error:
            problems.append(f"{mine.name}: {error}")
    if problems:
        raise DataError(
            f"cannot {verb} {names[1]} and {names[0]}, which have different encodings:\n"
            + "\n".join(problems)
        )
    target = Encoding(tuple(columns))
    return _moved(left, ours, target), _moved(right, theirs, target)


def _listed(*sides: Artefact) -> set[str]:
    """Return the columns of which the base level may stand for others too."""
    return {name for side in sides for name in side.extra.get("listed") or ()}


def _refuse_other_rules(left: Artefact, right: Artefact, names: Names, verb: str) -> None:
    """Refuse statistics that were made by other rules: each rule by both its values.

    Raises:
        DataError: names every rule that differs.

    """
    ours, theirs = left.schema or {}, right.schema or {}
    problems = [
        f"data.{key} is {_words(ours.get(key))} in {names[0]} and {_words(theirs.get(key))} in {names[1]}"
        for key in dict.fromkeys((*ours, *theirs))
        if key != "features" and canonical(ours.get(key)) != canonical(theirs.get(key))
    ]
    features = [list(side.get("features") or ()) for side in (ours, theirs)]
    for mine, other, has, lacks in ((*features, *names), (*features[::-1], *names[::-1])):
        extra = [name for name in mine if name not in other]
        if extra:
            problems.append(f"{lacks} has no feature {', '.join(extra)}, which {has} has")
    if not problems and features[0] != features[1]:
        problems.append("the features are in another order")
    if problems:
        raise DataError(
            f"cannot {verb} {names[1]} and {names[0]}, which have different schema:\n" + "\n".join(problems)
        )


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "empty"
    return "not set" if value is None else str(value)


def _moved(artefact: Artefact, encoding: Encoding, target: Encoding) -> Artefact:
    moved = [column.moved(new) for column, new in zip(encoding.columns, target.columns, strict=True)]
    matrix = np.zeros((target.num_encoded, encoding.num_encoded))
    constant = np.concatenate([add for _, add in moved]) if moved else np.zeros(0)
    row = column = 0
    for block, _ in moved:
        matrix[row : row + block.shape[0], column : column + block.shape[1]] = block
        row, column = row + block.shape[0], column + block.shape[1]

    def move(moments: Moments) -> Moments:
        return _transformed(moments, target.names, matrix, constant)

    return replace(
        artefact,
        moments=move(artefact.moments),
        folds=tuple(map(move, artefact.folds)),
        validation=None if artefact.validation is None else move(artefact.validation),
        encodings=target.to_json(),
    )


def _transformed(
    moments: Moments, names: tuple[str, ...], matrix: np.ndarray, constant: np.ndarray
) -> Moments:
    """Return the moments of A·x + b, targets as they are."""
    targets = len(moments.target_names)
    old, new = moments.num_features, len(names)
    whole = np.zeros((new + targets, old + targets))
    whole[:new, :old] = matrix
    whole[new:, old:] = np.eye(targets)
    add = np.concatenate([constant, np.zeros(targets)])
    return replace(
        moments,
        feature_names=names,
        shift=whole @ moments.shift + add,
        offset=whole @ moments.offset,
        cross=whole @ moments.cross @ whole.T,
    )
