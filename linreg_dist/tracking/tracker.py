"""`Tracker`: what tells a program outside of a run; `TrackedRun`: the run as it is told of.

To add a tracker to the spec, write one module beside this one with one subclass of `Tracker`, whose `asked`
reads its field of ``tracking``: it is found there. One of your own needs no field:
``lr.train(spec, trackers=[it])``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Self

from linreg_dist.documents import EpochLine, ResultDocument, Tick
from linreg_dist.jobspec import JobSpec

if TYPE_CHECKING:
    from linreg_dist.data.design.columns import Columns
    from linreg_dist.data.source.manifest import Manifest
    from linreg_dist.model.linear_model import LinearModel
    from linreg_dist.storage import Location

OF_EPOCH = (
    "train_mse",
    "validation_mse",
    "validation_r2",
    "loss",
    "validation_loss",
    "rows_per_s",
    "seconds",
)
"""The numbers of an `EpochLine` that trackers draw; those that a solver does not have are None."""


@dataclass(frozen=True)
class TrackedRun:
    """A run, when its training begins.

    Attributes:
        spec: the job.
        folder: where the run lies, a path or an `ObjectPath`.
        data_digest: the fingerprint of all files.
        features, targets: names of the columns.
        rows: of the files.

    """

    spec: JobSpec
    folder: Location
    data_digest: str
    features: Sequence[str]
    targets: Sequence[str]
    rows: int

    @classmethod
    def of(cls, spec: JobSpec, folder: Location, manifest: Manifest, columns: Columns) -> Self:
        """Return the run of a spec on data that is known."""
        return cls(spec, folder, manifest.digest, columns.features, columns.targets, manifest.num_rows)


class Tracker(ABC):
    """What tells a program outside of a run: at its begin, after each epoch, and at its end.

    All methods are called in the driver, in one thread that is not the one that trains, in this order. What
    one raises is a warning, and the tracker is told no more; a run never fails of it, unless
    ``tracking.required`` says so and `start` raises.

    Attributes:
        name: for messages.
        needs: modules that must be importable.
        extra: the extra of linreg-dist that brings them.

    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()
    extra: ClassVar[str | None] = None

    @classmethod
    def asked(cls, spec: JobSpec) -> Self | None:
        """Return the tracker as a spec asks for it; None where it does not."""
        return None

    @abstractmethod
    def start(self, run: TrackedRun) -> None:
        """Take note that a run begins. Raises whatever shows that nobody listens."""

    def tick(self, tick: Tick) -> None:  # noqa: B027 (most trackers have no use for it)
        """Take note of how far the run is; called about every second."""

    def epoch(self, line: EpochLine) -> None:  # noqa: B027 (an exact fit has none)
        """Take note of a finished epoch."""

    @abstractmethod
    def finish(self, result: ResultDocument, model: LinearModel | None) -> None:
        """Take note of how the run ended; the last call.

        Args:
            result: as in result.json; of a failed or interrupted run it has the error.
            model: of a run that has succeeded; its files are written by now.

        """
