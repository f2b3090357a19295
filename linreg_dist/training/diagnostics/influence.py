"""Leverage, studentised residuals, Cook's distances, correlations and variance inflation, from Σw·z·z'.

Shape suffixes: D encoded columns, G squared columns with a constant before them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.documents import Cause, Correlation, RowResidual
from linreg_dist.training.diagnostics.look import standardised
from linreg_dist.training.diagnostics.part import Part, Row
from linreg_dist.training.diagnostics.question import Question, Vector, correlated

_MOST_CAUSES = 3
_RANK_TOLERANCE = 1e-10  # of the largest eigenvalue


class Influence:
    """What single rows do to a least-squares fit of the same columns.

    With z a row's features and A = Σ w·z·z' over all training rows (of a sample: times how many more there
    are), its leverage is h = w·z'·A⁺·z, its studentised residual t = e·√w / (σ·√(1 - h)), and Cook's distance
    t²·h / ((1 - h)·p) (Cook 1977), where p is the rank of A and σ² = Σw·e² / (n - p).

    Args:
        question, part: what was looked for and found.
        train_rows: n, of all training rows.
        train_mse: Σw·e² / Σw of all training rows, per target.

    """

    def __init__(self, question: Question, part: Part, train_rows: int, train_mse: Sequence[float]) -> None:
        self._question = question
        times = train_rows / max(part.train_rows, 1)
        products = part.products if question.fit_intercept else part.products[1:, 1:]
        values, vectors = np.linalg.eigh(products * times)
        kept = values > _RANK_TOLERANCE * max(values.max(initial=0.0), 0.0)
        self._inverse = (vectors[:, kept] / values[kept]) @ vectors[:, kept].T
        self.rank = int(kept.sum())
        freedom = max(train_rows - self.rank, 1)
        self._sigma_K = [math.sqrt(mse * part.train_weight * times / freedom) for mse in train_mse]

    def of(self, rows: Sequence[Row], k: int) -> list[tuple[float, float | None, float | None]]:
        """Return leverage, studentised residual and Cook's distance of training rows for target ``k``."""
        if not rows:
            return []
        z = standardised(self._question, np.stack([row.x_D for row in rows], axis=1))
        z = z if self._question.fit_intercept else z[1:]
        w_N = np.array([row.weight for row in rows])
        leverage_N = np.clip(w_N * np.einsum("gn,gn->n", z, self._inverse @ z), 0.0, 1.0)
        sigma, rank = self._sigma_K[k], max(self.rank, 1)
        found: list[tuple[float, float | None, float | None]] = []
        for row, leverage in zip(rows, leverage_N.tolist(), strict=True):
            if leverage >= 1 - 1e-9 or sigma <= 0:
                found.append((leverage, None, None))
                continue
            residual = float(row.y_K[k] - row.fitted_K[k])
            studentised = residual * math.sqrt(row.weight) / (sigma * math.sqrt(1 - leverage))
            found.append((leverage, studentised, studentised**2 * leverage / ((1 - leverage) * rank)))
        return found


def describe_rows(
    manifest: Manifest,
    rows: Sequence[Row],
    k: int,
    influence: Influence | None,
    causes_of_row: Callable[[Row], Sequence[Cause]] = lambda _: (),
) -> list[RowResidual]:
    """Return rows as documents: where each is, how far off its prediction is, and what moved that."""
    known: dict[int, tuple[float | None, float | None, float | None]] = {}
    if influence is not None:
        training = [row for row in rows if row.split == "train"]
        known = {id(row): each for row, each in zip(training, influence.of(training, k), strict=True)}
    found = []
    for row in rows:
        group = manifest.row_groups[row.group]
        leverage, studentised, cook = known.get(id(row), (None, None, None))
        found.append(
            RowResidual(
                file=manifest.files[group.file].key,
                row=group.first_row + row.number,
                split=row.split,
                actual=float(row.y_K[k]),
                fitted=float(row.fitted_K[k]),
                residual=float(row.y_K[k] - row.fitted_K[k]),
                leverage=leverage,
                studentised=studentised,
                cook=cook,
                causes=list(causes_of_row(row)),
            )
        )
    return found


def causes_of(question: Question, encoding: Encoding, row: Row, k: int) -> list[Cause]:
    """Return the columns that move a row's prediction most away from that of a row of means."""
    centre_D = question.mean_D if question.fit_intercept else np.zeros_like(question.mean_D)
    moved_D = question.coef_KD[k] * (row.x_D - centre_D)
    causes: list[Cause] = []
    for column, start, stop in encoding.spans():
        if column.group_names:
            moved = float(moved_D[start:stop].sum())
            causes.append(
                Cause(feature=column.name, value=_level(column, row.x_D[start:stop]), contribution=moved)
            )
        else:
            causes += [
                Cause(feature=name, value=float(row.x_D[i]), contribution=float(moved_D[i]))
                for name, i in zip(column.encoded_names, range(start, stop), strict=True)
            ]
    causes.sort(key=lambda cause: -abs(cause.contribution))  # of equals the first column stays first
    return [cause for cause in causes[:_MOST_CAUSES] if cause.contribution]


def _level(column: ColumnKind, x_L: Vector) -> str:
    """Return the name of the level that 0/1 columns stand for."""
    if not x_L.any():
        return column.base or ""
    place = int(np.argmax(x_L))
    return column.group_names[place + 1 if x_L[place] == 1 else -1]


def _correlations(question: Question, part: Part, chosen: Sequence[int]) -> Vector | None:
    """Return the correlations of squared columns; None where one does not vary in these rows."""
    weight = part.train_weight
    if weight <= 0 or not chosen:
        return None
    places = [1 + question.squared.index(i) for i in chosen]
    products = part.products[np.ix_(places, places)] / weight
    if question.fit_intercept:
        mean = part.products[0, places] / weight
        products = products - np.outer(mean, mean)
    variance = np.diag(products)
    if (variance <= 1e-12).any():
        return None
    scale = np.sqrt(variance)
    return np.asarray(np.clip(products / np.outer(scale, scale), -1.0, 1.0))


def correlation(question: Question, part: Part, names: Sequence[str]) -> Correlation | None:
    """Return the correlations of the most important columns; None where fewer than two of them vary."""
    chosen = [i for i in correlated(question) if part.high_D[i] > part.low_D[i]]
    matrix = _correlations(question, part, chosen) if len(chosen) > 1 else None
    if matrix is None or not question.fit_intercept:
        return None
    return Correlation(names=[names[i] for i in chosen], matrix=matrix.round(6).tolist())


def inflation(question: Question, part: Part) -> dict[int, float]:
    """Return the variance inflation factor of each column: the diagonal of the inverse correlations.

    Nothing where only some columns were squared, or some depend on others.
    """
    if not (question.has_all_squared and question.fit_intercept):
        return {}
    chosen = [i for i in question.squared if part.high_D[i] > part.low_D[i]]
    matrix = _correlations(question, part, chosen)
    if matrix is None or np.linalg.cond(matrix) > 1e10:
        return {}
    return dict(zip(chosen, np.diag(np.linalg.inv(matrix)).tolist(), strict=True))
