"""The watch over this process where it reads data itself: in local mode, and the driver that plans a job.

The rule for being stuck is that of the workers' watch (`linreg_dist.training.beats`), and so is the report.
But nobody starts this process again: the run fails with the report, and the same command continues it.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from linreg_dist import liveness
from linreg_dist.errors import RunFailedError
from linreg_dist.run.watch.interrupts import Interruption
from linreg_dist.training.beats import BEAT_S, Place, describe_stuck, stuck_report
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)


@contextmanager
def watch_this_process(stuck_after_s: float | None, interruption: Interruption) -> Iterator[None]:
    """Interrupt the ``with`` block with a `RunFailedError` if this process makes no progress.

    Args:
        stuck_after_s: seconds without progress; None watches nothing.
        interruption: of the block.

    """
    if stuck_after_s is None:
        yield
        return
    over = threading.Event()
    args = stuck_after_s, threading.get_ident(), interruption, over
    thread = threading.Thread(target=_watch, args=args, name="watch", daemon=True)
    liveness.process.mark("starting")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch(limit_s: float, watched_thread: int, interruption: Interruption, over: threading.Event) -> None:
    every_s = min(BEAT_S, limit_s / 4)
    looked_at = time.monotonic()
    while not over.wait(every_s):
        now = time.monotonic()
        if now - looked_at > limit_s / 2:
            # This thread did not run either: the process was stopped (Ctrl-Z), or the machine was.
            liveness.process.mark("a pause of the whole process")
        looked_at = now
        seen = liveness.process.look(limit_s)
        if seen.idle_s >= limit_s and not seen.waiting:
            interruption.because(_stuck(seen, limit_s, watched_thread))
            return


def _stuck(seen: liveness.Sighting, limit_s: float, watched_thread: int) -> RunFailedError:
    how = f"no progress for {seen.idle_s:.0f} s (run.stuck_after_s is {limit_s:g})"
    here = Place(rank=0, world_size=1, host=socket.gethostname(), ip="this machine", pid=os.getpid())
    report = stuck_report(here, seen.doing, how, liveness.stacks(watched_thread))
    return RunFailedError(
        f"{describe_stuck(report, with_stack=False)}. See to what it waits for and start the same job again: "
        f"it continues from its last checkpoint. The stacks of its threads:\n{report['stack']}",
        stuck=[report],
    )
