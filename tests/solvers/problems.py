"""Small regression problems as Parquet, and the same rows for the reference implementations."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from linreg_dist.run.finished_run import Run

Train = Callable[..., "Run"]


@dataclass(frozen=True)
class Problem:
    """Rows in files under ``path``."""

    path: Path
    x: np.ndarray[Any, np.dtype[np.float64]]
    y: np.ndarray[Any, np.dtype[np.float64]]
    weight: np.ndarray[Any, np.dtype[np.float64]]
    cluster: np.ndarray[Any, np.dtype[np.int64]]

    @property
    def with_ones(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.column_stack([np.ones(len(self.x)), self.x])


def make_problem(
    folder: Path,
    *,
    num_rows: int = 900,
    num_features: int = 4,
    num_files: int = 3,
    seed: int = 0,
    mean: float = 0.0,
    num_targets: int = 1,
) -> Problem:
    """Write a problem with unequal error variances, correlated features, weights 1 to 4 and 30 clusters."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_rows, num_features))
    x[:, 1] += 0.6 * x[:, 0]
    x += mean
    cluster = rng.integers(0, 30, num_rows)
    noise = rng.normal(size=num_rows) * (0.5 + np.abs(x[:, 0] - mean)) + 0.4 * rng.normal(size=30)[cluster]
    beta = np.linspace(2.0, -1.0, num_features)
    beta[-1] = 0.0
    y = 1.5 + x @ beta + noise
    weight = rng.integers(1, 5, num_rows).astype(float)
    columns = {f"x{j}": x[:, j] for j in range(num_features)}
    columns |= {"y": y, "w": weight, "firm": np.array([f"firm{c:02d}" for c in cluster])}
    columns |= {f"y{k}": y * (k + 1) + x[:, k] ** 2 for k in range(1, num_targets)}
    table = pa.table(columns)
    folder.mkdir(parents=True, exist_ok=True)
    bounds = np.linspace(0, num_rows, num_files + 1).astype(int)
    for number, (start, stop) in enumerate(itertools.pairwise(bounds)):
        pq.write_table(
            table.slice(start, stop - start), folder / f"part-{number}.parquet", row_group_size=150
        )
    return Problem(folder, x, y, weight, cluster)


def features_of(problem: Problem) -> list[str]:
    """The feature columns, without weight and cluster."""
    return [f"x{j}" for j in range(problem.x.shape[1])]
