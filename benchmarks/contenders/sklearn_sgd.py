"""scikit-learn's ``SGDRegressor.partial_fit`` over pyarrow batches, without penalty: its optimum is ours."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.contender import Contender, Grid, Outcome, Pass, UnavailableError
from benchmarks.problems import TARGET, Dataset

BATCH_ROWS = 65_536


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    try:
        from sklearn.linear_model import SGDRegressor
    except ImportError as error:
        raise UnavailableError("scikit-learn is not installed (pip install 'linreg-dist[bench]')") from error
    import pyarrow.parquet as pq

    model = SGDRegressor(penalty=None, random_state=0)
    started = time.time()
    passes = []
    for _ in range(grid.epochs):
        began, rows = time.perf_counter(), 0
        for file in dataset.files:
            with pq.ParquetFile(file) as parquet:
                for batch in parquet.iter_batches(batch_size=BATCH_ROWS):
                    x = np.column_stack([batch.column(name).to_numpy() for name in dataset.problem.features])
                    model.partial_fit(x, batch.column(TARGET).to_numpy())
                    rows += len(x)
        passes.append(Pass(rows, time.perf_counter() - began))
    return Outcome(started, time.time(), passes, model.coef_.tolist(), float(model.intercept_[0]))


CONTENDERS = (Contender("sklearn_partial_fit", "SGDRegressor.partial_fit over pyarrow batches", _run),)
