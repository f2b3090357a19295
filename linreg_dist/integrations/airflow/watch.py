"""A job on the cluster as it is looked at, again and again, through connections that may be lost.

The trigger looks from its event loop, and an operator that does not defer from its worker.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from linreg_dist.cluster import JobServer, status_document
from linreg_dist.documents import JobStatus
from linreg_dist.errors import ClusterError, SpecError

_POINTS_BETWEEN_NEWS = 10.0
_SECONDS_BETWEEN_NEWS = 60.0
# Progress stands in the job's log, which is fetched whole and grows. Its state is cheap to ask for.
_SECONDS_BETWEEN_LOGS = 10.0
_SHARE_OF_TIME_FOR_LOGS = 0.02


@dataclass(frozen=True)
class Look:
    """What one look showed.

    Attributes:
        is_over: the job has ended.
        lost: why there is nothing more to wait for, where the cluster is gone; empty otherwise.
        news: a line for the log, where there is something new to say.

    """

    is_over: bool = False
    lost: str = ""
    news: str = ""


class JobWatch:
    """Looks at a job.

    Args:
        connect: makes a connection; called again after one was lost.
        job_id: its submission id.
        patience_s: seconds that the cluster may be unreachable before the job counts as lost.
        clock: seconds that only go forward.

    """

    def __init__(
        self,
        connect: Callable[[], JobServer],
        job_id: str,
        patience_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connect = connect
        self._job_id = job_id
        self._patience_s = patience_s
        self._clock = clock
        self._server: JobServer | None = None
        self._lost_since: float | None = None
        self._told: tuple[str, float, float] | None = None  # state, per cent, when
        self._next_log = -math.inf

    def look(self) -> Look:
        """Return how the job is now. It may take seconds; a connection that fails is no error."""
        try:
            return self._look()
        except ClusterError as error:
            self._server = None
            now = self._clock()
            if self._lost_since is None:
                self._lost_since = now
                return Look(news=f"{error}; it is given {self._patience_s:g} s to come back")
            waited_s = now - self._lost_since
            if waited_s < self._patience_s:
                return Look()
            return Look(lost=f"the cluster was lost {waited_s:.0f} s ago: {error}")
        except SpecError as error:
            return Look(
                lost=f"the cluster has lost {self._job_id}, as one that was started again does: {error}"
            )

    def stop(self) -> None:
        """Stop the job.

        Raises:
            ClusterError: the cluster cannot be reached.
            SpecError: it knows of no such job.

        """
        self._connection().stop(self._job_id)

    def _connection(self) -> JobServer:
        if self._server is None:
            self._server = self._connect()
        return self._server

    def _look(self) -> Look:
        server = self._connection()
        job = server.job(self._job_id)
        self._lost_since = None
        if job.is_over:
            return Look(is_over=True, news=f"{job.id}: {job.state}")
        began = self._clock()
        if began < self._next_log and self._told is not None and self._told[0] == job.state:
            return Look()
        status = status_document(server, job)
        took_s = self._clock() - began
        self._next_log = began + max(_SECONDS_BETWEEN_LOGS, took_s / _SHARE_OF_TIME_FOR_LOGS)
        return Look(news=self._news(status))

    def _news(self, status: JobStatus) -> str:
        now = self._clock()
        percentage = status.progress_percentage or 0.0
        if self._told is not None:
            state, told_percentage, told_at = self._told
            is_same = state == status.state and abs(percentage - told_percentage) < _POINTS_BETWEEN_NEWS
            if is_same and (percentage == told_percentage or now - told_at < _SECONDS_BETWEEN_NEWS):
                return ""
        self._told = (status.state, percentage, now)
        return progress_line(status)


def progress_line(status: JobStatus) -> str:
    """Return a job's state and progress on one line."""
    parts = [f"{status.job}: {status.state}"]
    if status.progress_percentage is not None:
        parts.append(f"{status.progress_percentage:.0f} %")
    if status.estimated_remaining_s is not None:
        parts.append(f"about {status.estimated_remaining_s:.0f} s left")
    epoch = status.metrics
    if epoch is not None and epoch.train_mse is not None:
        parts.append(f"epoch {epoch.epoch}, train MSE {epoch.train_mse:.6g}")
    return ", ".join(parts)
