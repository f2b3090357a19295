"""`MomentPart`, what the exact pass knows of some row groups, and the file in which a checkpoint keeps it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linreg_dist.data.summary import RowCounts
from linreg_dist.errors import DataError
from linreg_dist.stats.artefact import Artefact, from_bytes, to_bytes
from linreg_dist.stats.moments import Moments
from linreg_dist.training.checkpoints.row_counts import counts_from_json, counts_to_json

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


class MomentFile:
    """A lane's `MomentPart` as a statistics file (safetensors) that lists its row groups.

    Args:
        names: of the features and the targets.

    """

    folder = FOLDER
    suffix = ".safetensors"

    def __init__(self, names: tuple[tuple[str, ...], tuple[str, ...]]) -> None:
        self._names = names

    def to_bytes(self, part: MomentPart, groups: Sequence[int], fingerprint: str) -> bytes:
        """Return the file of a part that holds these row groups."""
        counts = {str(index): counts_to_json(counts) for index, counts in part.counts.items()}
        return to_bytes(
            Artefact(
                moments=part.validation,
                folds=tuple(part.folds),
                consumed=tuple(groups),
                extra={"fingerprint": fingerprint, "counts": counts},
            )
        )

    def from_bytes(
        self, content: bytes, groups: Sequence[int], fingerprint: str
    ) -> tuple[MomentPart, int] | None:
        """Return a part and how many row groups of the lane are in it; None if the file is torn, or another
        job's.
        """
        try:
            artefact = from_bytes(content, "a checkpoint")
        except DataError:
            return None
        done = list(artefact.consumed)
        if artefact.extra.get("fingerprint") != fingerprint or done != list(groups[: len(done)]):
            return None
        if (artefact.moments.feature_names, artefact.moments.target_names) != self._names:
            return None
        try:
            counts = {index: counts_from_json(artefact.extra["counts"][str(index)], index) for index in done}
        except (KeyError, TypeError, AttributeError):  # damaged, and written before files had a checksum
            return None
        return MomentPart(counts, artefact.moments, list(artefact.folds)), len(done)
