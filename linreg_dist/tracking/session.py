"""The trackers of one run, told in a thread of their own, so that none delays the training or fails it."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import queue
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from linreg_dist import tracking
from linreg_dist.documents import EpochLine, Event, ResultDocument
from linreg_dist.errors import SpecError, StorageError
from linreg_dist.jobspec import JobSpec
from linreg_dist.tracking.tracker import TrackedRun, Tracker
from linreg_dist.wording.secrets import shown
from linreg_dist.wording.streams import get_logger

if TYPE_CHECKING:
    from linreg_dist.model.linear_model import LinearModel

logger = get_logger(__name__)

_START_WITHIN_S = 30.0
_FINISH_WITHIN_S = 60.0
_INTERRUPTED_WITHIN_S = 3.0


def trackers_of(spec: JobSpec) -> list[Tracker]:
    """Return the trackers that a spec asks for; each is a class in a module of this room."""
    found = []
    for module in pkgutil.iter_modules(tracking.__path__):
        if not getattr(spec.tracking, module.name, True):
            continue  # its module need not be loaded to know that the spec does not ask for it
        loaded = importlib.import_module(f"{tracking.__name__}.{module.name}")
        for one in vars(loaded).values():
            is_own = inspect.isclass(one) and one.__module__ == loaded.__name__
            if is_own and issubclass(one, Tracker) and not inspect.isabstract(one):
                asked = one.asked(spec)
                if asked is not None:
                    found.append(asked)
    return found


def require_installed(spec: JobSpec) -> None:
    """See that what the trackers of a spec need is installed.

    Raises:
        SpecError: a module is missing; names the extra that brings it.

    """
    for tracker in trackers_of(spec):
        missing = [module for module in tracker.needs if importlib.util.find_spec(module) is None]
        if missing:
            raise SpecError(
                f"tracking.{tracker.name} needs {', '.join(missing)}, which is not installed; run pip "
                f"install 'linreg-dist[{tracker.extra or tracker.name}]', or leave it out"
            )


class Tracking:
    """What a run tells its trackers.

    Args:
        trackers: those that are told.
        required: whether one that cannot be told of the begin fails the run.

    """

    def __init__(self, trackers: Sequence[Tracker], *, required: bool = False) -> None:
        self._told = list(trackers)
        self._required = required
        self._calls: queue.SimpleQueue[Callable[[Tracker], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._started = threading.Event()
        self._refused: list[str] = []

    @property
    def is_on(self) -> bool:
        """Whether anybody is told."""
        return bool(self._told)

    def start(self, run: TrackedRun) -> None:
        """Tell of the begin.

        Raises:
            StorageError: trackers are required, and one does not answer; nothing was trained.

        """
        if not self._told:
            return
        self._calls.put(lambda tracker: tracker.start(run))
        self._calls.put(lambda _: self._started.set())
        self._thread = threading.Thread(target=self._tell, name="trackers", daemon=True)
        self._thread.start()
        if self._required:
            in_time = self._wait(_START_WITHIN_S)
            if self._refused or not in_time:
                reasons = "; ".join(self._refused) or f"no answer within {_START_WITHIN_S:g} s"
                self._stop(0.0)
                raise StorageError(
                    f"a tracker is required (tracking.required) and cannot be told of the run: {reasons}. "
                    "Start it, correct its address under tracking, or set tracking.required: false"
                )

    def event(self, event: Event) -> None:
        """Tell of progress; an `EventSink`."""
        if isinstance(event, EpochLine):
            line = event
            self._calls.put(lambda tracker: tracker.epoch(line))
        else:
            tick = event
            self._calls.put(lambda tracker: tracker.tick(tick))

    def finish(self, result: ResultDocument, model: LinearModel | None = None) -> None:
        """Tell of the end, and wait until all have been told, for a minute at most; of a run that was told to
        stop for seconds only.
        """
        if self._thread is None:
            return
        within_s = _INTERRUPTED_WITHIN_S if result.status == "interrupted" else _FINISH_WITHIN_S
        self._calls.put(lambda tracker: tracker.finish(result, model))
        if not self._stop(within_s):
            names = ", ".join(tracker.name for tracker in self._told)
            logger.warning(
                "tracking: %s had not been told of all within %g s, and is told no more", names, within_s
            )

    def _wait(self, seconds: float) -> bool:
        thread = self._thread
        while seconds > 0.0 and thread is not None and thread.is_alive():
            if self._started.wait(0.05):
                return True
            seconds -= 0.05
        return self._started.is_set()

    def _stop(self, within_s: float) -> bool:
        thread, self._thread = self._thread, None
        self._calls.put(None)
        if thread is None:
            return True
        thread.join(within_s)
        return not thread.is_alive()

    def _tell(self) -> None:
        while (call := self._calls.get()) is not None:
            for tracker in tuple(self._told):
                try:
                    call(tracker)
                except Exception as error:
                    logger.debug("the tracker %s", tracker.name, exc_info=True)
                    self._told.remove(tracker)
                    reason = shown(f"{tracker.name}: {type(error).__name__}: {error}")
                    self._refused.append(reason)
                    if not (self._required and not self._started.is_set()):
                        logger.warning("tracking: %s; it is told no more of this run, which goes on", reason)
            if not self._told:
                self._started.set()
