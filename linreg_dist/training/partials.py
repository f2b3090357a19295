"""Checkpoints of the exact pass: each lane's partial moments with the row groups that are in them.

One safetensors file per lane, replaced as a whole by whichever worker owns the lane, every
``run.checkpoint_every_s``. A row group is in a file's moments exactly if the file lists it, so a pass that is
continued, on any number of workers, counts no row group twice and loses none.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass

from linreg_dist.data.summary import RowCounts
from linreg_dist.errors import DataError, StorageError
from linreg_dist.stats.artefact import Artefact, canonical, load_artefact, save_artefact
from linreg_dist.stats.moments import Moments
from linreg_dist.storage import Location, no_patience, one_line
from linreg_dist.training.job import TrainJob
from linreg_dist.training.prepare import OpenData
from linreg_dist.training.room import describe_room
from linreg_dist.training.row_counts import counts_from_json, counts_to_json
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

FOLDER = "checkpoints/moments"


@dataclass
class MomentPart:
    """What the exact pass knows of some row groups, in block units.

    Attributes:
        counts: what became of the rows of each row group, by its index.
        validation: moments of the validation rows.
        folds: moments of the training rows, by fold; a single one where nothing is tuned.

    """

    counts: dict[int, RowCounts]
    validation: Moments
    folds: list[Moments]

    def merge(self, other: MomentPart) -> None:
        """Add another part's rows to these."""
        self.counts |= other.counts
        self.validation.merge(other.validation)
        for mine, theirs in zip(self.folds, other.folds, strict=True):
            mine.merge(theirs)


class PartialMoments:
    """Keeps the lanes' `MomentPart`, in ``<run>/checkpoints/moments``.

    Args:
        job, data: what the moments depend on; files of another job, encoding or number of lanes are ignored.
        names: of the features and the targets.

    """

    def __init__(self, job: TrainJob, data: OpenData, names: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
        self._folder: Location = job.run_dir / FOLDER
        self._lanes = job.lanes
        self._names = names
        self._every_s = job.spec.run.checkpoint_every_s
        belongs = [
            job.fingerprint,
            job.num_lanes,
            data.encoding.to_json(),
            data.shift.x_D.tolist(),
            data.shift.y_K.tolist(),
        ]
        self._fingerprint = hashlib.sha256(canonical(belongs).encode()).hexdigest()
        self._noted: dict[int, tuple[MomentPart, int]] = {}
        self._saved_at = time.monotonic()

    def restore(self, lane: int) -> tuple[MomentPart, int] | None:
        """Return a lane's part and how many of its row groups are in it; None if no whole file of this job
        has any.
        """
        path = self._path(lane)
        if not path.exists():
            return None
        try:
            artefact = load_artefact(path)
        except DataError:  # torn or foreign: the lane is summed again
            return None
        if artefact.extra.get("fingerprint") != self._fingerprint:
            return None
        done = list(artefact.consumed)
        if done != list(self._lanes[lane][: len(done)]):
            return None
        if (artefact.moments.feature_names, artefact.moments.target_names) != self._names:
            return None
        try:
            counts = {index: counts_from_json(artefact.extra["counts"][str(index)], index) for index in done}
        except (KeyError, TypeError, AttributeError):  # damaged, and written before files had a checksum
            return None
        return MomentPart(counts, artefact.moments, list(artefact.folds)), len(done)

    def keep(self, lane: int, part: MomentPart, num_groups: int) -> None:
        """Take note of a lane's part, which holds its first ``num_groups`` row groups."""
        self._noted[lane] = part, num_groups

    def save(self, *, now: bool = False) -> None:
        """Write the lanes that changed, if ``run.checkpoint_every_s`` is over or at once.

        An object store that does not answer, or a disk that is full, is asked again at the next interval; the
        pass goes on, and each lane keeps the last whole file.
        """
        if not now and time.monotonic() - self._saved_at < self._every_s:
            return
        for lane, (part, num_groups) in self._noted.items():
            artefact = Artefact(
                moments=part.validation,
                folds=tuple(part.folds),
                consumed=self._lanes[lane][:num_groups],
                extra={
                    "fingerprint": self._fingerprint,
                    "counts": {str(index): counts_to_json(counts) for index, counts in part.counts.items()},
                },
            )
            try:
                with no_patience():
                    save_artefact(artefact, self._path(lane))
            except (StorageError, OSError) as error:
                why = one_line(error.__cause__ or error)
                if isinstance(error, OSError):
                    why += f"; {describe_room(self._folder)}"
                logger.warning("the checkpoint of lane %d was not written, the pass goes on: %s", lane, why)
                self._saved_at = time.monotonic()
                return
        self._noted.clear()
        self._saved_at = time.monotonic()

    def _path(self, lane: int) -> Location:
        return self._folder / f"lane-{lane:04d}.safetensors"
