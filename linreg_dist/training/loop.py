"""The train function: what Ray Train runs in every worker, and the calling process in local mode."""

from __future__ import annotations

import contextlib
import time
from typing import Any

import numpy as np

from linreg_dist.errors import LinregDistError, to_record
from linreg_dist.training.evaluate import Evaluator
from linreg_dist.training.iterate import fit_iteratively
from linreg_dist.training.job import TrainJob
from linreg_dist.training.prepare import prepare
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.scaling import AffineScale
from linreg_dist.training.worker import Worker, join_group


def train_loop_per_worker(config: dict[str, Any]) -> dict[str, Any]:
    """Train one job and return its outcome as plain numbers.

    Errors of the user or the data are part of the outcome (``{"error": …}``), agreed on by all workers: Ray would retry an exception
    ``max_failures`` times, and peers would wait for the one that raised. Anything else is raised, and Ray restarts the group.

    Args:
        config: ``{"job": TrainJob}``.
    """
    entered = time.time()
    job: TrainJob = config["job"]
    worker = join_group()
    try:
        outcome = _train(worker, job)
    except LinregDistError as error:
        outcome = {"error": to_record(error)}
    return {**outcome, "entered": entered, "left": time.time(), "world_size": worker.world_size}


def _train(worker: Worker, job: TrainJob) -> dict[str, Any]:
    log = MetricsLog(job.run_dir / "metrics.jsonl" if worker.rank == 0 else None)
    with contextlib.closing(log):
        prepared = prepare(worker, job, log, np.float32)
        with prepared.store:
            scale = AffineScale.from_summary(
                prepared.summary,
                prepared.shift,
                standardize=job.standardize,
                scale_target=job.spec.solver.learning_rate == "auto",
                fit_intercept=job.spec.model.fit_intercept,
            )
            evaluator = Evaluator(worker, job, prepared, scale)
            fit = fit_iteratively(worker, job, prepared, scale, evaluator, log)
            metrics = evaluator.final(*fit.in_blocks(prepared.shift))
    counts = prepared.summary.counts
    return {
        "error": None,
        "coef": fit.coef_KD.tolist(),
        "intercept": fit.intercept_K.tolist(),
        "encoding": prepared.encoding.to_json(),
        "scaling": {
            "x_mean": (prepared.summary.x.mean + prepared.shift.x_D).tolist(),
            "x_std": prepared.summary.x.std.tolist(),
        },
        "rows": {
            "train": counts.train,
            "validation": counts.validation,
            "dropped": {"filter": counts.filtered, "missing": counts.missing_rows},
        },
        "missing": dict(counts.missing),
        "metrics": metrics,
        "epochs": fit.epochs,
        "stopped": fit.stopped,
        "choices": fit.choices,
        "rows_per_s": fit.rows_per_s,
        "read_s": prepared.read_s,
        "train_s": fit.train_s,
    }
