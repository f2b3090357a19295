"""The one pass of the exact solver: every worker sums the moments of its row groups, one exchange merges
them.

A lane's row groups are always merged in order and lanes are merged in a fixed tree, so the sums have the same
bits for any number of workers, and for a pass that was interrupted and continued.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Shift
from linreg_dist.data.summary import RowCounts
from linreg_dist.solvers.exact.sums.partials import MomentFile
from linreg_dist.solvers.exact.sums.row_group import MomentTask, RowGroupMoments
from linreg_dist.stats.kernel import Sums, native_sums, shifted_sums
from linreg_dist.stats.moments import Moments, merged_moments
from linreg_dist.training.checkpoints.lane_keeper import LaneKeeper
from linreg_dist.training.checkpoints.row_counts import total_counts
from linreg_dist.training.fit import Totals
from linreg_dist.training.job import TrainJob
from linreg_dist.training.reading.checks import check_counts, check_weight
from linreg_dist.training.reading.readers import in_readers, readers_pay
from linreg_dist.training.training import Training

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ExactSums:
    """All that an exact fit needs of the rows, in the units of the files.

    Attributes:
        groups: what became of the rows of each row group that was read, by its index.
        counts: the same of all rows behind the moments, those of an earlier run included.
        train, validation: moments of the training and of the validation rows.
        folds: moments of the training rows of each cross-validation fold; empty without ``tune``.
        removed: the same of the rows that an update takes away, which are in no other attribute; None where
            there are none.

    """

    groups: dict[int, RowCounts]
    counts: RowCounts
    train: Moments
    validation: Moments
    folds: tuple[Moments, ...]
    removed: ExactSums | None = None

    @property
    def rows_read(self) -> int:
        """Training rows that were read, whatever became of them."""
        counts = total_counts(self.groups.values()).train
        return counts + (0 if self.removed is None else self.removed.rows_read)

    def feature_mean(self) -> Vector:
        """Weighted means of the features over training rows, (D,)."""
        return self.train.mean[: self.train.num_features]

    def feature_std(self) -> Vector:
        """Weighted population standard deviations of the features over training rows, (D,)."""
        variance = self.train.cross.diagonal()[: self.train.num_features] / self.train.sum_w
        return np.sqrt(np.maximum(variance, 0.0))

    def totals(self) -> Totals:
        """Return the counts, and the means and spreads of the features."""
        return Totals(self.counts, self.feature_mean(), self.feature_std())

    def target_mean(self, shift: Shift) -> Vector:
        """Means of the targets over training rows in block units, (K,)."""
        return self.train.mean[self.train.num_features :] - shift.y_K


def gather_moments(training: Training) -> ExactSums:
    """Sum the moments of all rows of all workers.

    Raises:
        DataError: on every worker alike: see `check_counts`, and values too large to be squared.

    """
    job, data = training.job, training.data
    num_folds = job.spec.tune.folds if job.spec.tune else 0
    names = data.encoding.names, job.columns.targets
    sums_up = _sums_of(training)
    moments = RowGroupMoments(job, data.store, names, sums_up)
    parts, extra = moments.parts, moments.extra
    keeper = LaneKeeper(job, data, MomentFile(names))
    if sums_up is native_sums and readers_pay(training):
        task = MomentTask(job, data.encoding, data.shift)
        with in_readers(training, task) as read:
            lanes = training.pass_over(read, moments.empty, "solve", keeper)
    else:
        lanes = training.pass_over(moments, moments.empty, "solve", keeper)
    groups = {index: counts for lane in lanes for index, counts in lane.counts.items()}
    shift = np.concatenate([data.shift.x_D, data.shift.y_K])

    def merged(parts: list[Moments]) -> Moments:
        moments = merged_moments(parts)
        # From block units to the files': a shift is all that differs.
        return replace(moments, shift=moments.shift + shift)

    all_folds = [merged([lane.folds[i] for lane in lanes]) for i in range(parts + extra)]

    def sums(groups: dict[int, RowCounts], folds: list[Moments], validation: Moments) -> ExactSums:
        return ExactSums(
            groups=groups,
            counts=total_counts(groups.values()),
            train=merged_moments(folds),
            validation=validation,
            folds=tuple(folds) if num_folds else (),
        )

    gone = {index: counts for index, counts in groups.items() if index in job.removed}
    here = {index: counts for index, counts in groups.items() if index not in job.removed}
    found = sums(here, all_folds[:parts], merged([lane.validation for lane in lanes]))
    if not job.removed:
        return found
    return replace(found, removed=sums(gone, all_folds[parts:-1], all_folds[-1]))


def check_sums(job: TrainJob, sums: ExactSums) -> None:
    """Check the rows as a whole.

    Raises:
        DataError: see `check_counts` and `check_weight`.

    """
    check_counts(job, sums.counts)
    check_weight(job, sums.counts, sums.train.sum_w)


def _sums_of(training: Training) -> Sums:
    """Return who adds up: the GPU of this worker, native kernels, or numpy."""
    if training.worker.gpus is not None:
        from linreg_dist.solvers.exact.sums.on_gpu import sums_on

        return sums_on(training.worker.device)
    return native_sums if training.data.store.native else shifted_sums
