"""`stopped_in_time`: all that may end a fit from outside, over one block."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from linreg_dist.errors import RunFailedError
from linreg_dist.jobspec import JobSpec
from linreg_dist.run.watch.capacity import watch_capacity
from linreg_dist.run.watch.head import HeadWatch
from linreg_dist.run.watch.interrupts import Interruption, interruptible
from linreg_dist.run.watch.submitted_job import watch_supervisor
from linreg_dist.run.watch.this_process import watch_this_process


@contextmanager
def stopped_in_time(spec: JobSpec, head: HeadWatch | None) -> Iterator[None]:
    """Interrupt the ``with`` block when its time is over, the head or nodes are missing for too long, or, in
    local mode, it makes no progress.

    Raises:
        RunFailedError, ClusterError: which of these it was.

    """
    local = spec.scaling.max_workers == 0
    with (
        interruptible() as interruption,
        _deadline(spec.run.timeout_s, interruption),
        nullcontext() if head is None else head.interrupts(interruption),
        watch_capacity(spec, interruption),
        watch_supervisor(interruption),
        watch_this_process(spec.run.stuck_after_s if local else None, interruption),
    ):
        yield


@contextmanager
def _deadline(timeout_s: float | None, interruption: Interruption) -> Iterator[None]:
    if timeout_s is None:
        yield
        return
    over = RunFailedError(
        f"run.timeout_s of {timeout_s:g} s is over; the run continues from its last checkpoint when it is "
        "started again"
    )
    timer = threading.Timer(timeout_s, interruption.because, (over,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
