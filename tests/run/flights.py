"""The flights as an outside program would see them: pandas, one-hot columns, numpy's least squares."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd

from linreg_dist.data.rows import hash_split

ROOT = Path(__file__).parents[2]
FLIGHTS = ROOT / "jobs" / "data" / "flights"


@dataclass(frozen=True)
class Reference:
    """The least-squares fit of the training rows."""

    coefficients: pd.Series
    intercept: float
    r2_train: float
    r2_validation: float
    rows_train: int
    rows_validation: int
    influence: pd.Series  # |coefficient| x std(column) / std(target)


@cache
def reference(features: tuple[str, ...], categorical: tuple[str, ...], l2: float = 0.0) -> Reference:
    """Fit `arr_delay` with `numpy.linalg.lstsq` on the rows that a job with these features trains on.

    With ``l2`` the standardised columns get the rows of a ridge penalty, √(n·l2)·I.
    """
    parts = []
    for file in sorted(FLIGHTS.glob("*/*.parquet"), key=lambda path: path.parent.name):
        frame = pd.read_parquet(file, partitioning=None)
        key = file.relative_to(FLIGHTS).as_posix()
        frame["month"] = int(file.parent.name.removeprefix("month="))
        frame["validates"] = hash_split(key, 0, len(frame), 0.2, 0)
        parts.append(frame)
    data = pd.concat(parts, ignore_index=True).dropna(subset=[*features, "arr_delay"])
    x = pd.get_dummies(data[list(features)], columns=list(categorical), prefix_sep="=", dtype=float)
    bases = [sorted(f"{name}={level}" for level in data[name].unique())[0] for name in categorical]
    x = x.drop(columns=bases).astype(float)
    y = data["arr_delay"].to_numpy(float)
    held_out = data["validates"].to_numpy()
    x = x.loc[:, x[~held_out].nunique() > 1]  # a level that only validates teaches nothing
    train, validation = x[~held_out], x[held_out]
    mean, std = train.mean(), train.std(ddof=0)
    z = ((train - mean) / std).to_numpy()
    centred = y[~held_out] - y[~held_out].mean()
    penalty = np.sqrt(len(z) * l2) * np.eye(z.shape[1])
    solution = np.linalg.lstsq(
        np.vstack([z, penalty]), np.concatenate([centred, np.zeros(len(penalty))]), rcond=None
    )[0]
    coefficients = pd.Series(solution / std.to_numpy(), index=x.columns)
    intercept = float(y[~held_out].mean() - mean @ coefficients)
    return Reference(
        coefficients,
        intercept,
        _r2(y[~held_out], train @ coefficients + intercept),
        _r2(y[held_out], validation @ coefficients + intercept),
        len(train),
        len(validation),
        (coefficients * std).abs() / centred.std(),
    )


def _r2(y: np.ndarray, predicted: pd.Series) -> float:
    return float(1 - ((y - predicted.to_numpy()) ** 2).sum() / ((y - y.mean()) ** 2).sum())
