"""The terms of a model's prediction, one a column, in which every format writes it.

A prediction is the intercept and one term a column. All rules for values that are missing or unknown are
decided here, so that formats cannot differ in them: NaN stands for "no prediction", where `predict` refuses
the row or gives null.

Shape suffixes: N rows, K targets, L places of a list, V levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from linreg_dist.data.design.portable import Levels, Numbers
from linreg_dist.errors import SpecError
from linreg_dist.model.linear_model import LinearModel

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class NumberTerm:
    """The term of a number, or of a list of them: Σ over places of coefficient · value.

    Attributes:
        name: of the column.
        length: of the lists; None for a plain number, which has one place.
        coef_KL: coefficients.
        fill_L: what replaces a value that is null, NaN or infinite; NaN where nothing does.

    """

    name: str
    length: int | None
    coef_KL: Array
    fill_L: Array


@dataclass(frozen=True)
class LevelTerm:
    """The term of a level, looked up.

    Attributes:
        name: of the column.
        family: what its values are: text, whole numbers or booleans.
        levels: V different values.
        value_VK: the term of each.
        unseen_K: of a value that is no level: 0, or NaN.
        missing_K: of a missing value; NaN where it has none.

    """

    name: str
    family: Literal["text", "integer", "boolean"]
    levels: tuple[Any, ...]
    value_VK: Array
    unseen_K: Array
    missing_K: Array


def terms(model: LinearModel) -> list[NumberTerm | LevelTerm]:
    """Return the terms of a model, in the order of its columns.

    Raises:
        SpecError: a column has no form that other programs can compute, or the model is not linear.

    """
    if not model.is_linear:
        raise SpecError(f"{model!r} has no coefficients to export; its weights are in model.safetensors")
    found: list[NumberTerm | LevelTerm] = []
    fills = model.missing == "mean"
    for column, start, stop in model.encoding.spans():
        coef_KL = model.coef_KD[:, start:stop]
        form = column.portable()
        if isinstance(form, Numbers):
            fill = form.fill_L if fills and form.fill_L is not None else (np.nan,) * (stop - start)
            found.append(NumberTerm(column.name, form.length, coef_KL, np.array(fill, dtype=np.float64)))
        elif isinstance(form, Levels):
            found.append(_level_term(column.name, form, coef_KL, fills=fills))
        else:
            raise SpecError(
                f"the model cannot be exported: its column {column.name!r} is of the kind {column.kind}, "
                "which only linreg_dist computes. Predict with linreg-dist, or train without the column"
            )
    return found


def prediction_names(model: LinearModel) -> tuple[str, ...]:
    """Return what the K predictions are called: as `predict` calls its columns."""
    if len(model.targets) == 1:
        return ("prediction",)
    return tuple(f"prediction_{target}" for target in model.targets)


def _level_term(name: str, form: Levels, coef_KL: Array, *, fills: bool) -> LevelTerm:
    place = {level: number for number, level in enumerate(form.levels)}
    number_targets = len(coef_KL)
    with_base_KV = np.concatenate([np.zeros((number_targets, 1)), coef_KL], axis=1)
    missing_K = np.full(number_targets, np.nan)
    if fills:  # without known frequencies a missing value sets no column
        missing_K = coef_KL @ np.array(form.fill_L) if form.fill_L else np.zeros(number_targets)
    return LevelTerm(
        name,
        _family(name, form.levels),
        tuple(place),
        with_base_KV[:, list(place.values())].T,
        np.full(number_targets, np.nan if form.unseen_is_error else 0.0),
        missing_K,
    )


def _family(name: str, levels: tuple[Any, ...]) -> Literal["text", "integer", "boolean"]:
    kinds = {type(level) for level in levels}
    if kinds <= {str}:
        return "text"
    if str in kinds:
        raise SpecError(
            f"the model cannot be exported: levels of its column {name!r} are texts and numbers, and other "
            "programs take one type a column. Name levels of one type in data.categorical"
        )
    return "boolean" if kinds == {bool} else "integer"
