"""The residuals of one target as a document: distribution, against fitted values, by feature and by level."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from linreg_dist.documents import (
    ColumnResiduals,
    FeatureResiduals,
    Grid,
    Histogram,
    LevelResiduals,
    RowResidual,
    TargetDiagnostics,
)
from linreg_dist.training.diagnostics.part import BinSums, Part
from linreg_dist.training.diagnostics.quantiles import Vector, cells_of, framed, moments, quantiles
from linreg_dist.training.diagnostics.question import Question

_BARS, _X_CELLS, _Y_CELLS = 60, 36, 32
_FEWEST_ROWS = 20  # of a column of a grid, for its quantiles
_MOST_LEVELS = 60
_PERCENTS = (1, 5, 25, 50, 75, 95, 99)
_SHARES = (
    *(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075),
    *(i / 20 for i in range(2, 19)),
    *(0.925, 0.95, 0.97, 0.98, 0.99, 0.995, 0.9975, 0.999, 0.9995, 0.99975, 0.9999),
)


@dataclass(frozen=True)
class Shown:
    """The rows whose residuals are shown, of one target."""

    fitted_N: Vector
    residual_N: Vector
    w_N: Vector | None

    @property
    def weights(self) -> Vector:
        """A weight for every row."""
        return np.ones(len(self.fitted_N)) if self.w_N is None else self.w_N


def shown_rows(part: Part, k: int) -> Shown:
    """Return the rows that are shown, of target ``k``."""
    w_N = np.concatenate(part.w_N) if part.w_N else None
    return Shown(
        np.concatenate([piece[k] for piece in part.fitted_KN]),
        np.concatenate([piece[k] for piece in part.residual_KN]),
        w_N,
    )


def target_diagnostics(
    question: Question,
    part: Part,
    k: int,
    target: str,
    largest: list[RowResidual],
    influence: list[RowResidual],
) -> TargetDiagnostics:
    """Return what is said of the residuals of target ``k``."""
    rows = shown_rows(part, k)
    residual_N, w_N = rows.residual_N, rows.w_N
    mean, sd, skew, kurtosis = moments(residual_N, w_N)
    actual_N = rows.fitted_N + residual_N
    from_baseline = actual_N - part.train_y_K[k] / max(part.train_weight, 1e-300)
    found = quantiles(residual_N, w_N, [percent / 100 for percent in _PERCENTS])
    edges = framed(residual_N, _BARS)
    x_edges = framed(rows.fitted_N, _X_CELLS)
    return TargetDiagnostics(
        target=target,
        rows=len(residual_N),
        mean=mean,
        sd=sd,
        skew=skew,
        kurtosis=kurtosis,
        quantiles={str(percent): float(value) for percent, value in zip(_PERCENTS, found, strict=True)},
        baseline_rmse=float(np.sqrt(np.average(from_baseline**2, weights=w_N))),
        baseline_mae=float(np.average(np.abs(from_baseline), weights=w_N)),
        rmse=float(np.sqrt(np.average(residual_N**2, weights=w_N))),
        mae=float(np.average(np.abs(residual_N), weights=w_N)),
        histogram=_histogram(rows, edges),
        normal_quantiles=_normal_quantiles(rows),
        by_fitted=_grid(rows.fitted_N, residual_N, w_N, x_edges, framed(residual_N, _Y_CELLS)),
        actual_by_fitted=_grid(rows.fitted_N, actual_N, w_N, x_edges, framed(actual_N, _Y_CELLS)),
        by_feature=[
            FeatureResiduals(
                feature=column.name,
                edges=column.edges.tolist(),
                rows=sums.rows_B.tolist(),
                **dict(zip(("mean", "sd"), _mean_and_sd(sums, k), strict=True)),
            )
            for column, sums in zip(question.binned, part.binned, strict=True)
        ],
        by_level=[
            _by_level(kind.name, kind.group_names, sums, k)
            for kind, sums in zip(question.levelled, part.levelled, strict=True)
        ],
        largest=largest,
        influence=influence,
    )


def _histogram(rows: Shown, edges: Vector) -> Histogram:
    counts = np.bincount(cells_of(rows.residual_N, edges), rows.weights, len(edges) + 1)
    return Histogram(
        edges=edges.tolist(), counts=counts[1:-1].tolist(), below=float(counts[0]), above=float(counts[-1])
    )


def _normal_quantiles(rows: Shown) -> list[list[float]]:
    """Return pairs of quantiles, as far out as some rows lie beyond."""
    count = len(rows.residual_N)
    shares = [share for share in _SHARES if min(share, 1 - share) * count >= 2] or [0.5]
    found = quantiles(rows.residual_N, rows.w_N, shares)
    normal = NormalDist()
    return [[normal.inv_cdf(share), float(value)] for share, value in zip(shares, found, strict=True)]


def _grid(x_N: Vector, y_N: Vector, w_N: Vector | None, x_edges: Vector, y_edges: Vector) -> Grid:
    columns, heights = cells_of(x_N, x_edges), cells_of(y_N, y_edges)
    wide, tall = len(x_edges) + 1, len(y_edges) + 1
    counts = np.bincount(columns * tall + heights, w_N, wide * tall).reshape(wide, tall)
    inside = counts[1:-1, 1:-1]
    order = np.argsort(columns.astype(np.int16), kind="stable")
    ends = np.searchsorted(columns[order], np.arange(wide + 1))
    middles: list[list[float] | None] = []
    for column in range(1, wide - 1):
        chosen = order[ends[column] : ends[column + 1]]
        if len(chosen) < _FEWEST_ROWS:
            middles.append(None)
            continue
        w = None if w_N is None else w_N[chosen]
        middles.append(quantiles(y_N[chosen], w, (0.05, 0.5, 0.95)).tolist())
    return Grid(
        x_edges=x_edges.tolist(),
        y_edges=y_edges.tolist(),
        counts=inside.tolist(),
        beyond=float(counts.sum() - inside.sum()),
        rows=np.diff(ends)[1:-1].tolist(),
        middles=middles,
    )


def _mean_and_sd(sums: BinSums, k: int) -> tuple[list[float | None], list[float | None]]:
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = sums.sum_KB[k] / sums.weight_B
        sd = np.sqrt(np.maximum(sums.square_KB[k] / sums.weight_B - mean**2, 0.0))
    filled = sums.rows_B > 0
    return (
        [float(value) if is_filled else None for value, is_filled in zip(mean, filled, strict=True)],
        [float(value) if is_filled else None for value, is_filled in zip(sd, filled, strict=True)],
    )


def _by_level(column: str, names: tuple[str, ...], sums: BinSums, k: int) -> ColumnResiduals:
    """Return the levels with the most rows, in the order of the column."""
    filled = np.flatnonzero(sums.rows_B)
    kept = sorted(filled, key=lambda i: (-sums.rows_B[i], i))[:_MOST_LEVELS]
    mean, sd = _mean_and_sd(sums, k)
    return ColumnResiduals(
        column=column,
        levels=[
            LevelResiduals(level=names[i], rows=int(sums.rows_B[i]), mean=mean[i] or 0.0, sd=sd[i] or 0.0)
            for i in sorted(kept)
        ],
        left_out=len(filled) - len(kept),
    )
