"""What the tests of whole jobs share: small Parquet files, and waiting for what another process does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def write_parts(
    folder: Path, sizes: list[int], *, num_features: int = 3, seed: int = 0, row_group_size: int = 500
) -> dict[str, Any]:
    """Write y = X β + 1 + noise as files of the given numbers of rows, and return the rows."""
    generator = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    beta = np.arange(1.0, num_features + 1)
    xs, ys = [], []
    for number, size in enumerate(sizes):
        x = generator.normal(size=(size, num_features)).astype(np.float32)
        y = (x @ beta + 1.0 + generator.normal(size=size)).astype(np.float32)
        columns = {f"x{j}": x[:, j] for j in range(num_features)} | {"y": y}
        pq.write_table(pa.table(columns), folder / f"part-{number}.parquet", row_group_size=row_group_size)
        xs.append(x)
        ys.append(y)
    return {"x": np.concatenate(xs), "y": np.concatenate(ys), "beta": beta}


def wait_for(condition: Callable[[], Any], timeout_s: float = 180.0) -> Any:
    """Return the first true value of ``condition``, asked ten times a second."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.1)
    raise AssertionError("waited too long")
