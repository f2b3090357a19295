"""DuckDB sums the products of all pairs of columns in one SQL query; numpy solves the normal equations.

What dbreg and duckreg do for regressions on Parquet. The values are cast to DOUBLE before they are
multiplied.
"""

from __future__ import annotations

import os
import time

import numpy as np

from benchmarks.contender import Contender, Grid, Outcome, Pass, UnavailableError
from benchmarks.problems import TARGET, Dataset, solve_moments


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    try:
        import duckdb
    except ImportError as error:
        raise UnavailableError("DuckDB is not installed (pip install duckdb)") from error
    names = [*dataset.problem.features, TARGET]
    size = len(names) + 1
    pairs = [(i, j) for i in range(len(names)) for j in range(i, len(names))]
    columns = ", ".join(f'"{name}"::DOUBLE AS z{i}' for i, name in enumerate(names))
    sums = [f"sum(z{i})" for i in range(len(names))] + [f"sum(z{i} * z{j})" for i, j in pairs]
    started = time.time()
    began = time.perf_counter()
    with duckdb.connect(config={"threads": len(os.sched_getaffinity(0))}) as connection:
        rows = connection.read_parquet(str(dataset.parts / "*.parquet")).project(columns)
        (row,) = rows.aggregate(", ".join(["count(*)", *sums])).fetchall()
    moments_ZZ = np.zeros((size, size))
    moments_ZZ[0, 0], moments_ZZ[0, 1:] = row[0], row[1:size]
    for (i, j), value in zip(pairs, row[size:], strict=True):
        moments_ZZ[i + 1, j + 1] = moments_ZZ[j + 1, i + 1] = value
    moments_ZZ[1:, 0] = moments_ZZ[0, 1:]
    (intercept, *coef), _ = solve_moments(moments_ZZ)
    passes = [Pass(int(row[0]), time.perf_counter() - began)]
    return Outcome(started, time.time(), passes, [float(value) for value in coef], float(intercept))


CONTENDERS = (
    Contender("duckdb_moments", "DuckDB sums of products in SQL, solved by numpy, all cores", _run),
)
