"""scikit-learn-intelex's ``IncrementalLinearRegression``: oneDAL's normal equations over batches."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.contender import Contender, Grid, Outcome, Pass, UnavailableError
from benchmarks.problems import TARGET, Dataset


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    try:
        from sklearnex.linear_model import IncrementalLinearRegression
    except ImportError as error:
        raise UnavailableError(
            "scikit-learn-intelex is not installed (pip install scikit-learn-intelex)"
        ) from error
    import pyarrow.parquet as pq

    model = IncrementalLinearRegression()
    started = time.time()
    began, rows = time.perf_counter(), 0
    for file in dataset.files:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            for ordinal in range(parquet.num_row_groups):
                table = parquet.read_row_group(ordinal)
                y = table.column(TARGET).to_numpy()
                x = np.column_stack([table.column(name).to_numpy() for name in dataset.problem.features])
                model.partial_fit(x, y)
                rows += len(y)
    coef = np.ravel(model.coef_).tolist()
    intercept = float(np.ravel(model.intercept_)[0])
    passes = [Pass(rows, time.perf_counter() - began)]
    note = "float32, as the files; a batch is a row group"
    return Outcome(started, time.time(), passes, coef, intercept, note=note)


CONTENDERS = (
    Contender(
        "sklearnex_incremental",
        "scikit-learn-intelex IncrementalLinearRegression over row groups, all cores",
        _run,
    ),
)
