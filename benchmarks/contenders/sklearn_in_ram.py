"""scikit-learn's ``LinearRegression`` on all rows in memory: what a notebook does.

The files' float32 stays float32, for its SVD in float64 would take four times the data's memory.
"""

from __future__ import annotations

import time

from benchmarks.contender import Contender, Grid, Outcome, Pass, UnavailableError
from benchmarks.problems import TARGET, Dataset


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    try:
        from sklearn.linear_model import LinearRegression
    except ImportError as error:
        raise UnavailableError("scikit-learn is not installed (pip install 'linreg-dist[bench]')") from error
    import pyarrow.parquet as pq

    started = time.time()
    began = time.perf_counter()
    rows = pq.read_table(dataset.parts)
    y = rows.column(TARGET).to_numpy()
    x = rows.select(dataset.problem.features).to_pandas().to_numpy()
    del rows
    model = LinearRegression(copy_X=False).fit(x, y)
    passes = [Pass(len(x), time.perf_counter() - began)]
    note = "float32, as the files; all rows in memory"
    return Outcome(started, time.time(), passes, model.coef_.tolist(), float(model.intercept_), note=note)


CONTENDERS = (Contender("sklearn_in_ram", "scikit-learn LinearRegression on a table in memory", _run),)
