"""The pass over one row group: read, select, encode, predict, and sum what the question asks for.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from linreg_dist.data.design.columns import Columns
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.rows import DecodedColumns, RowSelector, decode_columns
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.jobspec import DataSpec
from linreg_dist.training.diagnostics.part import MOST_FAR, MOST_LARGEST, Part, Row
from linreg_dist.training.diagnostics.question import Question, Vector

_PIECE_VALUES = 1 << 18  # float64: 2 MiB, about a core's L2


class Looker:
    """Looks at row groups; safe to call from several threads.

    Args:
        manifest, columns, data: as the job read them.
        encoding: of the model.
        question: what to look for.
        stride: one row of so many is looked at.

    """

    def __init__(
        self,
        manifest: Manifest,
        columns: Columns,
        data: DataSpec,
        encoding: Encoding,
        question: Question,
        stride: int,
    ) -> None:
        self._columns = replace(columns, kinds=encoding.columns)
        self._reader = RowGroupReader(manifest, self._columns.to_read, self._columns.dictionaries)
        self._selector = RowSelector(manifest, self._columns, data, shuffle=False, seed=0)
        self._manifest = manifest
        self._encoding = encoding
        self._question = question
        self._stride = stride

    def look(self, group: RowGroup) -> Part:
        """Return what is found in a row group.

        Raises:
            DataError: it cannot be read.

        """
        part = Part.empty(self._question)
        table = self._reader.read(group)
        decoded = decode_columns(table, self._columns)
        selection = self._selector.select(table, decoded, group)
        step = max(256, _PIECE_VALUES // max(self._encoding.num_encoded, 1))
        for split, chosen in (("train", np.asarray(selection.train)), ("validation", selection.validation)):
            rows = chosen[:: self._stride]
            for start in range(0, len(rows), step):
                self._look_at(part, group, decoded, rows[start : start + step], split)
        part.prune()
        return part

    def _look_at(
        self,
        part: Part,
        group: RowGroup,
        decoded: DecodedColumns,
        rows: npt.NDArray[np.int64],
        split: str,
    ) -> None:
        question, columns = self._question, self._columns
        x_DN = np.empty((self._encoding.num_encoded, len(rows)))
        self._encoding.encode(decoded.features, rows, x_DN, None, self._manifest.where(group))
        targets = [columns.targets[k] for k in question.targets]
        y_KN = np.stack([decoded.numbers[name][rows].astype(np.float64) for name in targets])
        w_N = None if columns.weight is None else decoded.numbers[columns.weight][rows].astype(np.float64)
        fitted_KN = question.predict(x_DN)
        residual_KN = y_KN - fitted_KN
        seen = _Seen(group.index, rows, split, x_DN, y_KN, fitted_KN, w_N)
        part.rows += len(rows)
        for k, residual_N in enumerate(residual_KN):
            part.largest[k] += seen.rows_at(_largest(np.abs(residual_N), MOST_LARGEST))
        if split == "train":
            self._add_training(part, seen)
        if split == question.split:
            part.fitted_KN.append(fitted_KN)
            part.residual_KN.append(residual_KN)
            if w_N is not None:
                part.w_N.append(w_N)
            for column, sums in zip(question.binned, part.binned, strict=True):
                sums.add(column.bins_of(x_DN[column.place]), residual_KN, w_N)
            for kind, sums in zip(question.levelled, part.levelled, strict=True):
                sums.add(kind.groups(decoded.features[kind.name], rows), residual_KN, w_N)

    def _add_training(self, part: Part, seen: _Seen) -> None:
        question = self._question
        x_DN, w_N = seen.x_DN, seen.w_N
        np.minimum(part.low_D, x_DN.min(axis=1), out=part.low_D)
        np.maximum(part.high_D, x_DN.max(axis=1), out=part.high_D)
        part.train_rows += len(seen.rows)
        part.train_weight += float(len(seen.rows) if w_N is None else w_N.sum())
        part.train_y_K += seen.y_KN.sum(axis=1) if w_N is None else seen.y_KN @ w_N
        z = standardised(question, x_DN)
        part.products += (z if w_N is None else z * w_N) @ z.T
        distance_N = np.einsum("dn,dn->n", z, z)
        far = _largest(distance_N, MOST_FAR)
        part.far += zip(distance_N[far].tolist(), seen.rows_at(far), strict=True)
        part.sampled += seen.rows_at(np.flatnonzero(seen.rows % question.every == 0))


class _Seen:
    """Some rows of one split of a row group, from which single ones can be kept."""

    def __init__(
        self,
        group: int,
        rows: npt.NDArray[np.int64],
        split: str,
        x_DN: Vector,
        y_KN: Vector,
        fitted_KN: Vector,
        w_N: Vector | None,
    ) -> None:
        self.group, self.rows, self.split = group, rows, split
        self.x_DN, self.y_KN, self.fitted_KN, self.w_N = x_DN, y_KN, fitted_KN, w_N

    def rows_at(self, places: npt.NDArray[np.intp]) -> list[Row]:
        """Return some of the rows, each by itself."""
        w = np.ones(len(places)) if self.w_N is None else self.w_N[places]
        y, fitted, x = (values[:, places].T.copy() for values in (self.y_KN, self.fitted_KN, self.x_DN))
        return [
            Row(self.group, number, self.split, weight, *values)
            for number, weight, *values in zip(
                self.rows[places].tolist(), w.tolist(), y, fitted, x, strict=True
            )
        ]


def standardised(question: Question, x_DN: Vector) -> Vector:
    """Return the squared columns less their mean, by their standard deviation, below a row of ones.

    Without an intercept nothing is subtracted, and the first row is zero.
    """
    chosen = list(question.squared)
    scale = np.where(question.std_D > 0, question.std_D, 1.0)[chosen, None]
    z = np.empty((1 + len(chosen), x_DN.shape[1]))
    z[0] = float(question.fit_intercept)
    x = x_DN if question.has_all_squared else x_DN[chosen]
    if question.fit_intercept:
        np.subtract(x, question.mean_D[chosen, None], out=z[1:])
    else:
        z[1:] = x
    z[1:] /= scale
    return z


def _largest(values_N: Vector, most: int) -> npt.NDArray[np.intp]:
    """Return where the largest values are, in no order."""
    if len(values_N) <= most:
        return np.arange(len(values_N))
    return np.argpartition(values_N, -most)[-most:]
