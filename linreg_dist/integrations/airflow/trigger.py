"""`JobTrigger`: waits for a job on the cluster in the triggerer, so that no worker has to.

Its state is a connection's id and a job's: a triggerer that is started again goes on with them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from linreg_dist.errors import LinregDistError
from linreg_dist.integrations.airflow.hook import LinregRayHook

if TYPE_CHECKING:
    from linreg_dist.integrations.airflow.watch import JobWatch


class JobTrigger(BaseTrigger):
    """Fires once: when the job has ended, or its cluster has been gone for too long.

    Args:
        conn_id: a connection of the type ``linreg_ray``.
        job_id: the job's submission id.
        poll_interval_s: seconds between two looks.
        patience_s: as in `JobWatch`.

    """

    def __init__(
        self, conn_id: str, job_id: str, poll_interval_s: float = 5.0, patience_s: float = 120.0
    ) -> None:
        super().__init__()
        self.conn_id = conn_id
        self.job_id = job_id
        self.poll_interval_s = poll_interval_s
        self.patience_s = patience_s
        self._watch: JobWatch | None = None
        self._stopping: asyncio.Future[None] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what makes this trigger again in another process."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "conn_id": self.conn_id,
                "job_id": self.job_id,
                "poll_interval_s": self.poll_interval_s,
                "patience_s": self.patience_s,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the job until there is nothing more to wait for."""
        watch = await self._make_watch()
        while True:
            look = await asyncio.to_thread(watch.look)
            if look.news:
                self.log.info("%s", look.news)
            if look.is_over or look.lost:
                yield TriggerEvent({"job_id": self.job_id, "lost": look.lost})
                return
            await asyncio.sleep(self.poll_interval_s)

    async def on_kill(self) -> None:
        """Stop the job: a user has marked the task as failed or succeeded, or cleared it."""
        # A triggerer that is busy may cancel this coroutine, too, before the job has been told.
        self._stopping = asyncio.ensure_future(self._stop())
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        watch = await self._make_watch()
        try:
            await asyncio.to_thread(watch.stop)
            self.log.info("%s was told to stop", self.job_id)
        except LinregDistError as error:
            self.log.warning("%s could not be told to stop: %s", self.job_id, error)

    async def _make_watch(self) -> JobWatch:
        if self._watch is None:
            # Loading takes seconds on a busy machine, in which other triggers wait too.
            watch = await asyncio.to_thread(import_module, "linreg_dist.integrations.airflow.watch")
            details = await LinregRayHook(self.conn_id).adetails()
            self._watch = watch.JobWatch(details.connect, self.job_id, self.patience_s)
        return self._watch
