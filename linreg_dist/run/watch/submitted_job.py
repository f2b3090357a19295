"""The watch over the Ray job server's supervisor, by the process of the job that it started.

Ray ends a job's process when its supervisor dies, by a shell script beside it. Where that is gone too, as
when all of a head's processes are killed, nobody would ever end a job that trains in this process.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from linreg_dist.errors import ClusterError
from linreg_dist.liveness import parent_pid, process_start
from linreg_dist.run.watch.interrupts import Interruption
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

OF_A_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for the processes of submitted jobs only
_LOOK_EVERY_S = 1.0
# A supervisor that stops its job ends with it. The notice to stop reaches Python when its main thread comes
# back from native code, which may be later than this thread sees the end.
_GRACE_S = 10.0
_END_AFTER_S = 60.0


class Supervisor:
    """The process that started this process's session, which for a submitted job is Ray's supervisor of it.

    The session's first process is this one or a shell that waits for it.
    """

    def __init__(self) -> None:
        self._leader = os.getsid(0)
        self._leader_start = process_start(self._leader)
        self._pid = parent_pid(self._leader)

    @property
    def is_gone(self) -> bool:
        """Whether it has ended, or the session's first process has."""
        if self._leader_start is None or self._pid is None:
            return False  # they cannot be seen from here
        return process_start(self._leader) != self._leader_start or parent_pid(self._leader) != self._pid


@contextmanager
def watch_supervisor(interruption: Interruption) -> Iterator[None]:
    """Interrupt the ``with`` block with a `ClusterError` when the supervisor of this submitted job is gone.

    A block that has not ended a minute later is ended with its process. A process that is no job's has no
    supervisor, and nothing is watched.

    Args:
        interruption: of the block.

    """
    if OF_A_JOB not in os.environ:
        yield
        return
    over = threading.Event()
    args = Supervisor(), interruption, over
    threading.Thread(target=_watch, args=args, name="watch-supervisor", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _watch(supervisor: Supervisor, interruption: Interruption, over: threading.Event) -> None:
    while not supervisor.is_gone:
        if over.wait(_LOOK_EVERY_S):
            return
    if over.wait(_GRACE_S):
        return
    reason = ClusterError(
        "the Ray head that this job was submitted to is gone, and nobody follows the job any more. When it "
        "is back, submit the same job again to continue from its last checkpoint"
    )
    interruption.because(reason)
    if over.wait(_END_AFTER_S):
        return
    logger.error("%s", reason)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(reason.exit_code)  # nobody is there to end it
