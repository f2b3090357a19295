"""Write to a slow or failing store beside the training, which must not wait for it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from linreg_dist.errors import LinregDistError
from linreg_dist.storage.retry import no_patience, one_line
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)


class Background:
    """Does one job at a time on a thread of its own, without retries: the next interval brings the next try.

    Args:
        what: what is written, for the warning when it fails.

    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._running: Future[None] | None = None

    def start(self, job: Callable[[], None]) -> bool:
        """Start a job and return True, or return False while the one before is still at work."""
        if self.is_busy:
            return False
        self._running = self._pool.submit(self._run, job)
        return True

    @property
    def is_busy(self) -> bool:
        """Whether a job is at work."""
        return self._running is not None and not self._running.done()

    def close(self) -> None:
        """Wait for the job at work; a store that does not answer holds it for its time-outs only."""
        self._pool.shutdown(wait=True)

    def _run(self, job: Callable[[], None]) -> None:
        try:
            with no_patience():
                job()
        except LinregDistError as error:
            why = one_line(error.__cause__ or error)
            logger.warning("%s was not written, the job goes on: %s", self._what, why)
