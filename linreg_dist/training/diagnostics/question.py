"""The question that the pass asks of every row: settled before it, from what the fit knows already.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.model.linear_model import LinearModel

Vector = npt.NDArray[np.float64]

MOST_TARGETS = 3
_MOST_BINNED = 48
_MOST_LEVELLED = 24
MOST_SQUARED = 64  # columns; the products of all pairs cost as much as all else together from about here
_MOST_CORRELATED = 24
_BINS = 20
_REACH = 3.0  # standard deviations from the mean, where bins end


@dataclass(frozen=True)
class Binned:
    """An encoded column whose residuals are summed in bins of equal width, and the edges of these."""

    place: int
    name: str
    edges: Vector

    def bins_of(self, x_N: Vector) -> npt.NDArray[np.intp]:
        """Return the bin of each value; what is beyond an end is in the bin there."""
        width = self.edges[1] - self.edges[0]
        found = np.floor((x_N - self.edges[0]) / width)
        return np.asarray(np.clip(found, 0, len(self.edges) - 2), dtype=np.intp)


@dataclass(frozen=True)
class Question:
    """What is looked for in every row.

    Attributes:
        split: the rows whose residuals are shown: validation or train.
        targets: numbers of the targets that are looked at, the first ones.
        predict: returns predictions of these for encoded columns, (K, N) of (D, N).
        coef_KD: of these; zeros of a model without coefficients.
        mean_D, std_D: of the encoded columns over all training rows.
        binned: columns of numbers, the most important first.
        levelled: columns of levels.
        squared: encoded columns whose products are summed; all of them, or the most important.
        fit_intercept: whether the model has one.
        every: one training row of so many is in the sample for the plot of influence.

    """

    split: str
    targets: tuple[int, ...]
    predict: Callable[[Vector], Vector]
    coef_KD: Vector
    mean_D: Vector
    std_D: Vector
    binned: tuple[Binned, ...]
    levelled: tuple[ColumnKind, ...]
    squared: tuple[int, ...]
    fit_intercept: bool
    every: int

    @property
    def has_all_squared(self) -> bool:
        """Whether the products of all encoded columns are summed, from which leverage follows."""
        return len(self.squared) == len(self.mean_D)


def question_of(model: LinearModel, manifest: Manifest, split: str, *, every: int) -> Question:
    """Return what to look for in the rows of a model."""
    width = model.encoding.num_encoded
    scaling = model.details.scaling
    known = [(0.0, 0.0)] * width if scaling is None else zip(scaling.x_mean, scaling.x_std, strict=True)
    moments = np.array([(mean or 0.0, std or 0.0) for mean, std in known]).reshape(width, 2)
    mean_D, std_D = moments[:, 0], moments[:, 1]
    targets = tuple(range(min(len(model.targets), MOST_TARGETS)))
    coef_KD = np.ascontiguousarray(model.coef_KD[list(targets)])
    if not model.is_linear:
        coef_KD = np.zeros_like(coef_KD)
    importance_D = np.abs(coef_KD * std_D).max(axis=0, initial=0.0)
    # A constant column has nothing to show.
    by_importance = [int(i) for i in np.lexsort((np.arange(width), -importance_D)) if std_D[i] > 0]
    names = model.encoding.names
    is_number = np.zeros(width, dtype=bool)
    whole = np.zeros(width, dtype=bool)
    for column, start, stop in model.encoding.spans():
        is_number[start:stop] = column.base is None
        whole[start:stop] = _is_whole(manifest, column.name)
    binned = tuple(
        Binned(i, names[i], edges_around(mean_D[i], std_D[i], whole=bool(whole[i])))
        for i in [i for i in by_importance if is_number[i]][:_MOST_BINNED]
    )
    levelled = [column for column in model.encoding.columns if column.group_names]
    squared = (
        tuple(range(width)) if width <= MOST_SQUARED else tuple(sorted(by_importance[:_MOST_CORRELATED]))
    )
    return Question(
        split=split,
        targets=targets,
        predict=_predictor(model, targets),
        coef_KD=coef_KD,
        mean_D=mean_D,
        std_D=std_D,
        binned=binned,
        levelled=tuple(levelled[:_MOST_LEVELLED]),
        squared=squared,
        fit_intercept=model.details.fit_intercept,
        every=every,
    )


def _predictor(model: LinearModel, targets: tuple[int, ...]) -> Callable[[Vector], Vector]:
    if not model.is_linear:
        return lambda x_DN: model.predict_encoded(x_DN.T)[:, list(targets)].T
    coef_KD = np.ascontiguousarray(model.coef_KD[list(targets)])
    intercept_K1 = np.asarray(model.intercept_K, dtype=np.float64)[list(targets), None]

    def predict(x_DN: Vector) -> Vector:
        return np.asarray(coef_KD @ x_DN + intercept_K1)

    return predict


def correlated(question: Question) -> list[int]:
    """Return which of the squared columns are shown as a matrix: the most important that vary, in order."""
    importance_D = np.abs(question.coef_KD * question.std_D).max(axis=0, initial=0.0)
    varying = [i for i in question.squared if question.std_D[i] > 0]
    return sorted(sorted(varying, key=lambda i: (-importance_D[i], i))[:_MOST_CORRELATED])


def edges_around(mean: float, std: float, *, whole: bool) -> Vector:
    """Return edges of about 20 equal bins that reach three standard deviations from the mean.

    Of whole numbers each bin has equally many, with its edges between two; of few each has its own.
    """
    low, high = mean - _REACH * std, mean + _REACH * std
    if not whole:
        return np.linspace(low, high, _BINS + 1)
    width = 1 if high - low <= 2 * _BINS else math.ceil((high - low) / _BINS)
    first = math.floor(low) if width == 1 else width * math.floor(low / width)
    count = max(1, math.ceil((high - first + 1) / width))
    return first - 0.5 + width * np.arange(count + 1.0)


def _is_whole(manifest: Manifest, name: str) -> bool:
    place = manifest.schema.get_field_index(name)
    if place < 0:
        return False
    kind = manifest.schema.field(place).type
    return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))
