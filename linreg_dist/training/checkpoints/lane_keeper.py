"""`LaneKeeper`: checkpoints of a pass, a file per lane, so that a continued job goes on where it was.

The worker that owns a lane rewrites its file as a whole, every ``run.checkpoint_every_s``. A row group is in
a file's sums exactly if it is among those that the file names, so a pass that is continued, on any number of
workers, counts no row group twice and loses none.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from linreg_dist.errors import StorageError
from linreg_dist.stats.artefact import canonical
from linreg_dist.storage import TENSORS_BYTES, Location, no_patience, one_line, read_file, write_whole
from linreg_dist.storage.free_space import describe_room
from linreg_dist.training.job import TrainJob
from linreg_dist.wording.streams import get_logger

if TYPE_CHECKING:
    from linreg_dist.training.prepare import OpenData

logger = get_logger(__name__)

M = TypeVar("M")


class LaneFile(Protocol[M]):
    """The form in which a lane's part is written.

    Attributes:
        folder: below the run's folder.
        suffix: of the files' names.

    """

    folder: str
    suffix: str

    def to_bytes(self, part: M, groups: Sequence[int], fingerprint: str) -> bytes:
        """Return the file of a lane's part that holds these row groups."""

    def from_bytes(self, content: bytes, groups: Sequence[int], fingerprint: str) -> tuple[M, int] | None:
        """Return a lane's part and how many of its row groups are in it.

        Args:
            content: of the file.
            groups: all row groups of the lane, in order.
            fingerprint: of what the sums depend on.

        Returns:
            None where the file is torn, or of anything else.

        """


class LaneKeeper(Generic[M]):
    """Keeps what a pass has summed so far, lane by lane.

    Args:
        job, data: what the sums depend on; files of another job, encoding or number of lanes are ignored.
        form: how a part is written.

    """

    def __init__(self, job: TrainJob, data: OpenData, form: LaneFile[M]) -> None:
        self._folder: Location = job.run_dir / form.folder
        self._lanes = job.lanes
        self._form = form
        self._every_s = job.spec.run.checkpoint_every_s
        shift = data.shift.x_D.tolist(), data.shift.y_K.tolist()
        belongs = [job.fingerprint, job.num_lanes, data.encoding.to_json(), *shift]
        self._fingerprint = hashlib.sha256(canonical(belongs).encode()).hexdigest()
        self._noted: dict[int, tuple[M, int]] = {}
        self._saved_at = time.monotonic()

    def restore(self, lane: int) -> tuple[M, int] | None:
        """Return a lane's part and how many of its row groups are in it; None if nothing was kept."""
        try:
            content = read_file(self._path(lane), TENSORS_BYTES)
        except OSError:
            return None
        return self._form.from_bytes(content, self._lanes[lane], self._fingerprint)

    def keep(self, lane: int, part: M, num_groups: int) -> None:
        """Take note of a lane's part, which holds its first ``num_groups`` row groups, and write what was
        noted where ``run.checkpoint_every_s`` is over.
        """
        self._noted[lane] = part, num_groups
        if time.monotonic() - self._saved_at >= self._every_s:
            self._save()
            self._saved_at = time.monotonic()

    def _save(self) -> None:
        """Write the lanes that changed.

        An object store that does not answer, or a disk that is full, is asked again at the next interval; the
        pass goes on, and each lane keeps the last whole file.
        """
        for lane, (part, num_groups) in self._noted.items():
            path = self._path(lane)
            content = self._form.to_bytes(part, self._lanes[lane][:num_groups], self._fingerprint)
            try:
                with no_patience():
                    for folder in (
                        path.parent.parent,
                        path.parent,
                    ):  # not the run's, whose storage may be gone
                        folder.mkdir(exist_ok=True)
                    write_whole(path, content)
            except (StorageError, OSError) as error:
                why = one_line(error.__cause__ or error)
                if isinstance(error, OSError):
                    why += f"; {describe_room(self._folder, error)}"
                logger.warning("no checkpoint could be written to %s, the pass goes on: %s", path, why)
                return
        self._noted.clear()

    def _path(self, lane: int) -> Location:
        return self._folder / f"lane-{lane:04d}{self._form.suffix}"
