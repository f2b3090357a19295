"""Small Parquet data sets for the tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_parquet(
    path: Path, columns: Mapping[str, Any] | pa.Table, *, row_group_size: int | None = None
) -> Path:
    """Write one file, making its folders."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = columns if isinstance(columns, pa.Table) else pa.table(dict(columns))
    pq.write_table(table, path, row_group_size=row_group_size)
    return path


def linear_columns(
    num_rows: int = 400, num_features: int = 3, noise: float = 0.1, seed: int = 0
) -> dict[str, np.ndarray[Any, Any]]:
    """Return columns ``x0 …`` and ``y`` = 1 + 1·x0 + 2·x1 + … + noise."""
    rng = np.random.default_rng(seed)
    x_ND = rng.normal(size=(num_rows, num_features))
    y = 1.0 + x_ND @ np.arange(1.0, num_features + 1.0) + noise * rng.normal(size=num_rows)
    return {**{f"x{i}": x_ND[:, i] for i in range(num_features)}, "y": y}
