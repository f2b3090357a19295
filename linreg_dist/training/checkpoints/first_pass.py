"""Checkpoints of what happens before the first step: the encoding, and the counts, means and spreads of each
lane, so that a job that is continued does not read for them again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.summary import BlockSummary, MomentSums
from linreg_dist.errors import StorageError
from linreg_dist.stats.artefact import canonical
from linreg_dist.storage import no_patience, read_file, write_whole
from linreg_dist.storage.free_space import describe_room
from linreg_dist.training.checkpoints.row_counts import counts_from_json, counts_to_json
from linreg_dist.training.job import TrainJob
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
        try:
            document = _opened(read_file(self._path), self._fingerprint)
        except OSError:
            return None
        return None if document is None else Encoding.from_json(document["encoding"])

    def keep(self, encoding: Encoding) -> None:
        """Write the encoding, if there is room."""
        try:
            for folder in (
                self._path.parent.parent,
                self._path.parent,
            ):  # not the run's, whose storage may be gone
                folder.mkdir(exist_ok=True)
            with no_patience():
                write_whole(self._path, _sealed({"encoding": encoding.to_json()}, self._fingerprint))
        except (OSError, StorageError) as error:
            logger.warning(
                "no checkpoint could be written to %s: %s; %s. The pass goes on",
                *(self._path, error, describe_room(self._path, error)),
            )


class SummaryFile:
    """A lane's `BlockSummary` as JSON, which says how many of the lane's row groups are in it."""

    folder = FOLDER
    suffix = ".json"

    def to_bytes(self, part: BlockSummary, groups: Sequence[int], fingerprint: str) -> bytes:
        """Return the file of a part that holds these row groups."""
        document = {
            "groups": len(groups),
            "counts": counts_to_json(part.counts),
            "first_missing": part.counts.first_missing,
            "x": asdict(part.x),
            "y": asdict(part.y),
        }
        return _sealed(document, fingerprint)

    def from_bytes(
        self, content: bytes, groups: Sequence[int], fingerprint: str
    ) -> tuple[BlockSummary, int] | None:
        """Return a part and how many row groups of the lane are in it; None if the file is torn, or another
        job's.
        """
        document = _opened(content, fingerprint)
        if document is None:
            return None
        counts = counts_from_json(document["counts"])
        counts.first_missing = dict(document["first_missing"])
        return BlockSummary(counts, _moments(document["x"]), _moments(document["y"])), document["groups"]


def _moments(document: dict[str, Any]) -> MomentSums:
    return MomentSums(document["weight"], np.asarray(document["mean"]), np.asarray(document["m2"]))


def _sealed(document: dict[str, Any], fingerprint: str) -> bytes:
    plain = json.loads(json.dumps(document, default=np.ndarray.tolist))
    return json.dumps({"sha256": _checksum(fingerprint, plain), "document": plain}).encode()


def _opened(content: bytes, fingerprint: str) -> dict[str, Any] | None:
    """Return a document, None if it is torn, or belongs to something else."""
    try:
        envelope = parse_object(content)
        document: dict[str, Any] = envelope["document"]
        whole = envelope["sha256"] == _checksum(fingerprint, document)
    except (ValueError, KeyError, TypeError):
        return None
    return document if whole else None


def _checksum(fingerprint: str, document: dict[str, Any]) -> str:
    return hashlib.sha256((fingerprint + canonical(document)).encode()).hexdigest()
