"""polars_ds's ``lin_reg`` expression on a lazily scanned folder: polars decodes, faer solves."""

from __future__ import annotations

import time

from benchmarks.contender import Contender, Grid, Outcome, Pass, UnavailableError
from benchmarks.problems import TARGET, Dataset


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    try:
        import polars as pl
        import polars_ds as pds
    except ImportError as error:
        raise UnavailableError("polars_ds is not installed (pip install polars-ds)") from error
    started = time.time()
    began = time.perf_counter()
    names = dataset.problem.features
    expression = pds.lin_reg(*names, target=TARGET, add_bias=True).alias("coef")
    found = pl.scan_parquet(dataset.parts).select(expression).collect().item()
    *coef, intercept = list(found)
    passes = [Pass(dataset.problem.num_rows, time.perf_counter() - began)]
    note = "all rows in memory, in float64"
    return Outcome(started, time.time(), passes, coef, intercept, note=note)


CONTENDERS = (Contender("polars_ds_lin_reg", "polars_ds lin_reg over scan_parquet, all cores", _run),)
