"""Checkpoints of what happens before the first step: the encoding, and the counts, means and spreads of each
lane, so that a job that is continued does not read for them again.
"""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict
from typing import Any

import numpy as np

from linreg_dist.data.block import Shift
from linreg_dist.data.encoding import Encoding
from linreg_dist.data.summary import BlockSummary, MomentSums
from linreg_dist.errors import StorageError
from linreg_dist.stats.artefact import canonical
from linreg_dist.storage import Location, no_patience, read_file, write_whole
from linreg_dist.training.job import TrainJob
from linreg_dist.training.room import describe_room
from linreg_dist.training.row_counts import counts_from_json, counts_to_json
from linreg_dist.wording.json_text import parse_object
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

FOLDER = "checkpoints/first_pass"


class KeptEncoding:
    """The encoding of one job, found by a pass over the data.

    Args:
        job: another one's encoding is not taken.

    """

    def __init__(self, job: TrainJob) -> None:
        self._path = job.run_dir / FOLDER / "encoding.json"
        self._fingerprint = job.fingerprint

    def restore(self) -> Encoding | None:
        """Return the encoding, None if none was kept."""
        document = _read(self._path, self._fingerprint)
        return None if document is None else Encoding.from_json(document["encoding"])

    def keep(self, encoding: Encoding) -> None:
        """Write the encoding, if there is room."""
        _write(self._path, self._fingerprint, {"encoding": encoding.to_json()})


class PartialSummaries:
    """Keeps the lanes' `BlockSummary`: a file per lane, replaced by time by the worker that owns the lane.

    A row group is in a file's sums exactly if it is among the first so many of its lane that the file names.

    Args:
        job, encoding, shift: what the sums depend on; files of others are ignored.

    """

    def __init__(self, job: TrainJob, encoding: Encoding, shift: Shift) -> None:
        self._folder = job.run_dir / FOLDER
        self._every_s = job.spec.run.checkpoint_every_s
        belongs = [job.fingerprint, job.num_lanes, encoding.to_json(), shift.x_D.tolist(), shift.y_K.tolist()]
        self._fingerprint = hashlib.sha256(canonical(belongs).encode()).hexdigest()
        self._noted: dict[int, tuple[BlockSummary, int]] = {}
        self._saved_at = time.monotonic()

    def restore(self, lane: int) -> tuple[BlockSummary, int] | None:
        """Return a lane's part and how many of its row groups are in it; None if nothing was kept."""
        document = _read(self._path(lane), self._fingerprint)
        if document is None:
            return None
        counts = counts_from_json(document["counts"])
        counts.first_missing = dict(document["first_missing"])
        return BlockSummary(counts, _moments(document["x"]), _moments(document["y"])), document["groups"]

    def keep(self, lane: int, part: BlockSummary, num_groups: int) -> None:
        """Take note of a lane's part, which holds its first ``num_groups`` row groups."""
        self._noted[lane] = part, num_groups

    def save(self, *, now: bool = False) -> None:
        """Write the lanes that changed, if ``run.checkpoint_every_s`` is over or at once."""
        if not now and time.monotonic() - self._saved_at < self._every_s:
            return
        self._saved_at = time.monotonic()
        for lane, (part, num_groups) in self._noted.items():
            document = {
                "groups": num_groups,
                "counts": counts_to_json(part.counts),
                "first_missing": part.counts.first_missing,
                "x": asdict(part.x),
                "y": asdict(part.y),
            }
            _write(self._path(lane), self._fingerprint, document)
        self._noted.clear()

    def _path(self, lane: int) -> Location:
        return self._folder / f"lane-{lane:04d}.json"


def _moments(document: dict[str, Any]) -> MomentSums:
    return MomentSums(document["weight"], np.asarray(document["mean"]), np.asarray(document["m2"]))


def _read(path: Location, fingerprint: str) -> dict[str, Any] | None:
    """Return a document, None if there is none, or a torn one, or one that belongs to something else."""
    try:
        envelope = parse_object(read_file(path))
        document: dict[str, Any] = envelope["document"]
        whole = envelope["sha256"] == _checksum(fingerprint, document)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return document if whole else None


def _write(path: Location, fingerprint: str, document: dict[str, Any]) -> None:
    plain = json.loads(json.dumps(document, default=np.ndarray.tolist))
    envelope = {"sha256": _checksum(fingerprint, plain), "document": plain}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with no_patience():
            write_whole(path, json.dumps(envelope))
    except (OSError, StorageError) as error:
        logger.warning(
            "no checkpoint could be written to %s: %s; %s. The pass goes on", path, error, describe_room(path)
        )


def _checksum(fingerprint: str, document: dict[str, Any]) -> str:
    return hashlib.sha256((fingerprint + canonical(document)).encode()).hexdigest()
