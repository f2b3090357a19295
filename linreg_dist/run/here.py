"""`fit_here`: a planned job in this process, on all cores that it may use, without Ray."""

from __future__ import annotations

import time
from dataclasses import replace

from linreg_dist.documents import Outcome
from linreg_dist.errors import InterruptedRunError, from_record
from linreg_dist.run.watch.head import HeadWatch
from linreg_dist.run.watch.in_time import stopped_in_time
from linreg_dist.training.job import TrainJob
from linreg_dist.training.loop import train_loop_per_worker
from linreg_dist.training.progress import JobProgress


def fit_here(job: TrainJob, *, head: HeadWatch | None = None, progress: JobProgress | None = None) -> Outcome:
    """Run the train function and return its outcome.

    What torchrun and its like say of peers in environment variables means nothing to it: it is one process.

    Args:
        job: what to train, with ``scaling.num_workers: 0``.
        head: the watch over the head of the cluster, where there is one.
        progress: of the job so far.

    Raises:
        LinregDistError: what it ran into.
        InterruptedRunError: it was interrupted.

    """
    try:
        with stopped_in_time(job.spec, head):
            outcome = train_loop_per_worker({"job": job, "progress": progress})
    except KeyboardInterrupt as error:
        raise InterruptedRunError(
            "stopped by an interrupt; start the same job again to continue from its last checkpoint"
        ) from error
    if outcome.error is not None:
        raise from_record(outcome.error)
    return replace(outcome, teardown_s=max(0.0, time.time() - outcome.left))
