"""The train function: what Ray Train runs in every worker, and the calling process in local mode.

A group of workers starts when the last of them has imported what the train function needs, and all of them do
so at once on cores that they share: what a solver needs is imported where it fits.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Any

from linreg_dist import limits
from linreg_dist.data.cache import default_cache_folder, remove_cache
from linreg_dist.documents import Found, Outcome, WorkerTime
from linreg_dist.errors import LimitError, LinregDistError, StorageError, to_record
from linreg_dist.training.beats import WorkerWatch, watched
from linreg_dist.training.evaluate import Evaluator
from linreg_dist.training.fit import Fit, found_of
from linreg_dist.training.job import TrainJob
from linreg_dist.training.metrics_log import MetricsLog
from linreg_dist.training.prepare import open_data
from linreg_dist.training.progress import JobProgress
from linreg_dist.training.retryable import is_infrastructure
from linreg_dist.training.training import Training
from linreg_dist.training.worker import Worker, alone, join_group, keep_torch_to_one_thread

_PATIENCE_S = 24 * 3600.0
_UNWATCHED_PATIENCE_S = 1800.0


def train_loop_per_worker(config: dict[str, Any]) -> Outcome:
    """Train one job and return its outcome.

    Errors of the user or the data are part of the outcome, agreed on by all workers: Ray
    would retry an exception ``max_failures`` times, and peers would wait for the one that raised. Anything
    else is raised, and Ray restarts the group.

    Args:
        config: ``{"job": TrainJob, "progress": JobProgress or None}``, and with Ray workers ``"board"``, the
            handle of a `Board`.

    """
    job: TrainJob = config["job"]
    job.solver.load(job)
    entered = time.time()
    stuck_after_s = job.spec.run.stuck_after_s
    if job.spec.scaling.max_workers == 0:
        worker = alone(use_gpu=job.spec.scaling.asks_for_gpu)
    else:
        # Where nobody watches, only the exchange itself notices that a worker does not come: Ray's default.
        worker = join_group(_UNWATCHED_PATIENCE_S if stuck_after_s is None else _PATIENCE_S)
    with watched(config.get("board"), stuck_after_s, worker.rank, worker.world_size) as watch:
        earlier = watch.fatal() if watch else None
        found, error = (None, earlier) if earlier else _train_or_fail(worker, config, watch)
    return Outcome(found, error, entered, time.time(), worker.world_size)


def _train_or_fail(
    worker: Worker, config: dict[str, Any], watch: WorkerWatch | None
) -> tuple[Found | None, dict[str, object] | None]:
    """Return what was found, or the error that all workers agreed on.

    What one worker runs into alone is raised: the others are at work still, and only the end of the group
    keeps them from waiting. Ray then retries; where that would only repeat the error, the next group is told
    to give it back at once.
    """
    job: TrainJob = config["job"]
    try:
        return _train(worker, job, config.get("progress")), None
    except LinregDistError as error:
        if job.spec.scaling.max_workers > 0 and isinstance(error, StorageError):
            raise  # Ray starts the group again, which goes on from its checkpoints
        if worker.world_size == 1 or not error.alone:
            return None, to_record(error)
        if watch and not is_infrastructure(error.__cause__):
            watch.fail(error)
        raise
    except Exception as error:
        met = limits.limit_met(error)
        if met is not None:
            failed = LimitError(met)
            if job.spec.scaling.max_workers == 0:
                return None, to_record(failed)
            raise failed from error  # Ray starts the group again, where there may be more
        if watch and not is_infrastructure(error):
            watch.fail(error)
        raise


def _train(worker: Worker, job: TrainJob, progress: JobProgress | None) -> Found:
    log = MetricsLog(job.run_dir / "metrics.jsonl" if worker.rank == 0 else None, progress)
    with contextlib.closing(log):
        started = time.perf_counter()
        data = open_data(worker, job, log)
        settled = job.settled(data.encoding.num_encoded)
        if settled.solver is not job.solver:
            settled.solver.load(settled)
            keep_torch_to_one_thread()
        training = Training(worker, settled, data, log, started)
        with data.store:
            found = _found(training, training.job.solver.fit(training))
    # No worker still reads a block when its neighbour removes the files.
    workers = worker.gather(
        WorkerTime(
            rank=worker.rank,
            seconds=time.perf_counter() - started,
            waiting_s=worker.waited.seconds,
            row_groups=len(training.my_row_groups),
            bytes_read=data.store.bytes_read,
        )
    )
    remove_cache(default_cache_folder(job.fingerprint))
    return replace(
        found,
        unwritten_metrics=log.unwritten,
        bytes_read=sum(each.bytes_read for each in workers),
        workers=workers,
    )


def _found(training: Training, fit: Fit) -> Found:
    """Return a fit in plain numbers, with what the solver has left out."""
    data = training.data
    return found_of(
        training.job.choice,
        data.encoding,
        fit,
        fit.totals or training.totals,
        fit.metrics or Evaluator.of(training).final(*fit.in_blocks(data.shift)),
        training.read_s if fit.read_s is None else fit.read_s,
    )
