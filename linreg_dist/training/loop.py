"""The train function: what Ray Train runs in every worker, and the calling process in local mode.

Each solver is imported where it is called. A group of workers starts when the last of them has imported what
the train function needs, and all of them do so at once on cores that they share.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from linreg_dist.data.cache import default_cache_folder, remove_cache
from linreg_dist.documents import EpochLine, Found, Outcome
from linreg_dist.errors import LinregDistError, StorageError, to_record
from linreg_dist.storage import final_patience
from linreg_dist.training.evaluate import Evaluator
from linreg_dist.training.faults import is_infrastructure
from linreg_dist.training.fit import found_of
from linreg_dist.training.job import TrainJob, settle_solver
from linreg_dist.training.prepare import OpenData, open_data, summarise
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.scaling import AffineScale
from linreg_dist.training.watch import WorkerWatch, watched
from linreg_dist.training.worker import Worker, join_group

_PATIENCE_S = 24 * 3600.0
_UNWATCHED_PATIENCE_S = 1800.0


def train_loop_per_worker(config: dict[str, Any]) -> Outcome:
    """Train one job and return its outcome.

    Errors of the user or the data are part of the outcome, agreed on by all workers: Ray
    would retry an exception ``max_failures`` times, and peers would wait for the one that raised. Anything
    else is raised, and Ray restarts the group.

    Args:
        config: ``{"job": TrainJob}``, and with Ray workers ``"board"``, the handle of a `Board`.

    """
    job: TrainJob = config["job"]
    _load_compiler(job)
    entered = time.time()
    stuck_after_s = job.spec.run.stuck_after_s
    # Where nobody watches, only the exchange itself can notice that a worker does not come: Ray's default.
    worker = join_group(_UNWATCHED_PATIENCE_S if stuck_after_s is None else _PATIENCE_S)
    with watched(config.get("board"), stuck_after_s, worker.rank, worker.world_size) as watch:
        earlier = watch.fatal() if watch else None
        found, error = (None, earlier) if earlier else _train_or_fail(worker, job, watch)
    return Outcome(found, error, entered, time.time(), worker.world_size)


def _load_compiler(job: TrainJob) -> None:
    """Import torch's compiler, which takes more than a second, where torch will want it.

    DistributedDataParallel and torch.optim.LBFGS import it when they are made. A worker does it before its
    clock starts, as it loaded everything else; this process, which has its other libraries, while it reads.
    """
    if job.spec.scaling.max_workers > 1 and job.solver != "exact":
        importlib.import_module("torch._dynamo")
    elif job.solver == "lbfgs":
        threading.Thread(target=importlib.import_module, args=("torch._dynamo",), daemon=True).start()


def _train_or_fail(
    worker: Worker, job: TrainJob, watch: WorkerWatch | None
) -> tuple[Found | None, dict[str, object] | None]:
    """Return what was found, or the error that all workers agreed on.

    What one worker runs into alone is raised: the others are at work still, and only the end of the group
    keeps them from waiting. Ray then retries; where that would only repeat the error, the next group is told
    to give it back at once.
    """
    try:
        return _train(worker, job), None
    except LinregDistError as error:
        if job.spec.scaling.max_workers > 0 and isinstance(error, StorageError):
            raise  # Ray starts the group again, which goes on from its checkpoints
        if worker.world_size == 1 or not error.alone:
            return None, to_record(error)
        if watch and not is_infrastructure(error.__cause__):
            watch.fail(error)
        raise
    except Exception as error:
        if watch and not is_infrastructure(error):
            watch.fail(error)
        raise


def _train(worker: Worker, job: TrainJob) -> Found:
    log = MetricsLog(job.run_dir / "metrics.jsonl" if worker.rank == 0 else None)
    with contextlib.closing(log):
        started = time.perf_counter()
        data = open_data(worker, job, log, block_dtype(job))
        job = settle_solver(job, data.encoding.num_encoded)
        with data.store:
            solve = _exact if job.solver == "exact" else _iterative
            found = solve(worker, job, data, log, started)
    # No worker still reads a block when its neighbour removes the files.
    bytes_read = sum(worker.gather(data.store.bytes_read))
    remove_cache(default_cache_folder(job.fingerprint))
    return replace(found, unwritten_metrics=log.unwritten, bytes_read=bytes_read)


def _iterative(worker: Worker, job: TrainJob, data: OpenData, log: MetricsLog, started: float) -> Found:
    summary = summarise(worker, job, data, log)
    read_s = time.perf_counter() - started
    is_lbfgs = job.solver == "lbfgs"
    scale = AffineScale.from_summary(
        summary,
        data.shift,
        # Without a penalty the scale changes the way to the solution and not the solution.
        standardize=job.standardize or (is_lbfgs and job.spec.model.l2 == 0.0),
        scale_target=is_lbfgs or job.spec.solver.learning_rate == "auto",
        fit_intercept=job.spec.model.fit_intercept,
    )
    evaluator = Evaluator(worker, job, data, summary.counts.validation, summary.y.mean)
    if is_lbfgs:
        from linreg_dist.training.lbfgs import fit_lbfgs

        dtype = torch.float32 if block_dtype(job) is np.float32 else torch.float64
        fit = fit_lbfgs(worker, job, data, summary, scale, evaluator, log, dtype)
    else:
        from linreg_dist.training.iterate import fit_iteratively

        fit = fit_iteratively(worker, job, data, summary, scale, evaluator, log)
    metrics = evaluator.final(*fit.in_blocks(data.shift))
    mean = summary.x.mean + data.shift.x_D
    return found_of(job.solver, data.encoding, summary.counts, fit, metrics, mean, summary.x.std, read_s)


def _exact(worker: Worker, job: TrainJob, data: OpenData, log: MetricsLog, started: float) -> Found:
    from linreg_dist.training.exact import fit_exactly, metrics_of
    from linreg_dist.training.moment_metrics import NOT_KEPT, NOT_READ
    from linreg_dist.training.moment_sums import check_sums, gather_moments
    from linreg_dist.training.row_counts import total_counts
    from linreg_dist.training.statistics import add_earlier, artefact_of, save_statistics, sums_of

    sums = gather_moments(worker, job, data, log)
    artefact = add_earlier(worker, job, artefact_of(job, data, sums))
    sums = sums_of(artefact, sums.groups)
    check_sums(job, sums)
    # Others wait for rank 0 no longer than a collective takes to time out.
    patience = final_patience if worker.world_size == 1 else contextlib.nullcontext
    with patience():
        worker.together(lambda: save_statistics(artefact, job) if worker.rank == 0 else None)
    read_s = time.perf_counter() - started
    fit = fit_exactly(worker, job, data, sums, log, read_s)
    if worker.rank == 0:  # by file: it can be a hundred times as large as all else that a worker returns
        with patience():
            job.pending_covariance.unlink(missing_ok=True)
            if fit.covariance is not None:
                fit.covariance.save(job.pending_covariance)
    center = sums.target_mean(data.shift)
    evaluator = Evaluator(worker, job, data, sums.counts.validation, center)
    metrics = metrics_of(sums, fit, NOT_KEPT if job.update_from is None else NOT_READ)
    # The mean absolute error is no function of the moments, and of an earlier run's rows it is not known.
    if job.update_from is None and evaluator.is_cheap:
        metrics = evaluator.final(*fit.in_blocks(data.shift))
    # The rows that this run read, which may be few of those that the sums stand for.
    rows = total_counts(sums.groups.values()).train
    log.line(
        EpochLine.of(
            0,
            rows=rows,
            rows_per_s=rows / read_s,
            seconds=read_s,
            train_mse=metrics.train.mse if metrics.train else None,
            validation=metrics.validation,
        )
    )
    mean, std = sums.feature_mean(), sums.feature_std()
    return found_of(job.solver, data.encoding, sums.counts, fit, metrics, mean, std, read_s)


def block_dtype(job: TrainJob) -> type[np.floating[Any]]:
    """Return the type of blocks: float32, but float64 where the exact solver or L-BFGS would lose digits of
    the files by it.
    """
    if job.solver not in ("exact", "lbfgs"):
        return np.float32
    return np.float32 if job.columns.fit_float32(job.manifest.schema) else np.float64
