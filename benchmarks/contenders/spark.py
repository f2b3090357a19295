"""Spark MLlib's ``LinearRegression`` by L-BFGS and by normal equations, local mode, all cores.

Only where pyspark and Java are.
"""

from __future__ import annotations

import os
import shutil
import time
from functools import partial

from benchmarks.contender import Contender, Grid, Outcome, Pass, UnavailableError
from benchmarks.problems import TARGET, Dataset

MAX_ITERATIONS = 10


def _run(dataset: Dataset, grid: Grid, solver: str) -> Outcome:
    try:
        from pyspark.ml.feature import VectorAssembler
        from pyspark.ml.regression import LinearRegression
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise UnavailableError("pyspark is not installed (pip install pyspark)") from error
    if shutil.which("java") is None and "JAVA_HOME" not in os.environ:
        raise UnavailableError("pyspark needs Java, and there is no java on the PATH")
    cores = len(os.sched_getaffinity(0))
    session = (
        SparkSession.builder.master(f"local[{cores}]")
        .appName("linreg_dist benchmarks")
        .config("spark.driver.memory", "8g")
        .config("spark.ui.enabled", "false")
        .config("spark.driver.host", "127.0.0.1")
        .config("spark.driver.bindAddress", "127.0.0.1")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    started = time.time()
    began = time.perf_counter()
    rows = session.read.parquet(str(dataset.parts))
    # "error" refuses null: what all the other contenders do too, for the files have none.
    assembler = VectorAssembler(
        inputCols=dataset.problem.features, outputCol="features", handleInvalid="error"
    )
    estimator = LinearRegression(
        featuresCol="features", labelCol=TARGET, solver=solver, maxIter=MAX_ITERATIONS, regParam=0.0
    )
    model = estimator.fit(assembler.transform(rows))
    seconds = time.perf_counter() - began
    finished = time.time()
    iterations = int(model.summary.totalIterations) if solver == "l-bfgs" else 0
    # One pass finds means and deviations, or all moments; then every iteration takes at least one.
    passes = [Pass(dataset.problem.num_rows, seconds / (iterations + 1))] * (iterations + 1)
    note = f"{iterations} l-bfgs iterations; seconds of a pass are a mean, the read included"
    coef, intercept = model.coefficients.toArray().tolist(), float(model.intercept)
    session.stop()
    return Outcome(
        started,
        finished,
        passes,
        coef,
        intercept,
        note=note if solver == "l-bfgs" else "the read and the JVM's first compilations included",
        extra={"iterations": iterations},
    )


CONTENDERS = (
    Contender(
        "spark_lbfgs",
        f"Spark MLlib LinearRegression(solver='l-bfgs', maxIter={MAX_ITERATIONS}), local mode",
        partial(_run, solver="l-bfgs"),
        single_process=False,
    ),
    Contender(
        "spark_normal",
        "Spark MLlib LinearRegression(solver='normal'), local mode",
        partial(_run, solver="normal"),
        single_process=False,
    ),
)
