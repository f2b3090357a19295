"""The one pass of the exact solver: every worker sums the moments of its row groups, one exchange merges
them.

A lane's row groups are always merged in order and lanes are merged in a fixed tree, so the sums have the same
bits for any number of workers, and for a pass that was interrupted and continued.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Block, Shift
from linreg_dist.data.in_place import ColumnsInPlace
from linreg_dist.data.rows import RowSelection
from linreg_dist.data.summary import RowCounts
from linreg_dist.solvers.exact.folds import fold_of_rows, rows_per_run, spans_of_folds
from linreg_dist.solvers.exact.partials import MomentFile, MomentPart
from linreg_dist.stats.column_moments import moments_of_columns
from linreg_dist.stats.kernel import Sums, native_sums, shifted_sums
from linreg_dist.stats.moments import Moments, merged_moments
from linreg_dist.training.checkpoints.lane_keeper import LaneKeeper
from linreg_dist.training.checkpoints.row_counts import total_counts
from linreg_dist.training.fit import Totals
from linreg_dist.training.job import TrainJob
from linreg_dist.training.reading.checks import check_counts, check_weight
from linreg_dist.training.training import Training

Vector = npt.NDArray[np.float64]
Names = tuple[tuple[str, ...], tuple[str, ...]]  # of features and targets

_MIN_RUN = 64  # below this, gathering single rows costs less than a copy for each run


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

    parts = max(num_folds, 1)
    # What is taken away is summed beside it: its folds, and its validation rows as one more.
    extra = parts + 1 if job.removed else 0

    def nothing(number: int) -> list[Moments]:
        return [Moments.empty(*names) for _ in range(number)]

    def empty() -> MomentPart:
        return MomentPart({}, Moments.empty(*names), nothing(parts + extra))

    def part_of(
        index: int, selection: RowSelection, sums: Callable[[], tuple[Moments, list[Moments]]]
    ) -> MomentPart:
        counts = RowCounts()
        counts.add(selection, index, job.manifest.row_groups[index].num_rows)
        if selection.missing and job.spec.data.missing == "error":
            # The job will be refused once all is counted, and NaN has no moments.
            return replace(empty(), counts={index: counts})
        validation, folds = sums()
        if index in job.removed:
            return MomentPart({index: counts}, Moments.empty(*names), [*nothing(parts), *folds, validation])
        return MomentPart({index: counts}, validation, [*folds, *nothing(extra)])

    def sum_one(index: int) -> MomentPart:
        if num_folds == 0 and sums_up is native_sums:
            columns = data.store.in_place(index)
            found = None if columns is None else _moments_in_place(columns, job, names)
            if columns is not None and found is not None:
                return part_of(index, columns.selection, lambda: found)
            if columns is not None:
                data.store.expect_gaps()
        block, selection = data.store.build(index)

        def sums() -> tuple[Moments, list[Moments]]:
            validation = _moments(block.validation, names, sums_up)
            if num_folds == 0:
                return validation, [_moments(block.train, names, sums_up)]
            return validation, _moments_of_folds(job, index, block, selection, num_folds, names, sums_up)

        return part_of(index, selection, sums)

    keeper = LaneKeeper(job, data, MomentFile(names))
    lanes = training.pass_over(sum_one, empty, "solve", keeper)
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


def _moments_in_place(
    columns: ColumnsInPlace, job: TrainJob, names: Names
) -> tuple[Moments, list[Moments]] | None:
    """Return the moments of the validation and of the training rows; None where a block has to tell why not.

    Rows that lack a value where none may be lacking are only counted.
    """
    if columns.selection.missing and job.spec.data.missing == "error":
        return Moments.empty(*names), [Moments.empty(*names)]
    both = (*columns.x_D, *columns.y_K)
    train = moments_of_columns(both, columns.w_N, columns.rows_M, 0, columns.num_train, names)
    validation = moments_of_columns(
        both, columns.w_N, columns.rows_M, columns.num_train, columns.num_rows, names
    )
    return None if train is None or validation is None else (validation, [train])


def _moments_of_folds(
    job: TrainJob,
    index: int,
    block: Block,
    selection: RowSelection,
    num_folds: int,
    names: Names,
    sums: Sums,
) -> list[Moments]:
    """Return the moments of the training rows of each fold within a block."""
    group = job.manifest.row_groups[index]
    file = job.manifest.files[group.file]
    rows: range | npt.NDArray[np.uint64] = range(group.first_row, group.first_row + group.num_rows)
    if block.num_train != group.num_rows:
        rows = group.first_row + np.asarray(selection.train).astype(np.uint64)
    run = rows_per_run(file.num_rows)
    if run >= _MIN_RUN:
        taken = block.train
        spans = spans_of_folds(file.key, rows, num_folds, run)
        return Moments.from_spans(
            taken.x_ND,
            taken.y_NK,
            taken.w_N,
            spans,
            feature_names=names[0],
            target_names=names[1],
            sums=sums,
        )
    fold_N = fold_of_rows(file.key, np.asarray(rows, dtype=np.uint64), num_folds, run)
    order_N = np.argsort(fold_N, kind="stable")
    ends = np.cumsum(np.bincount(fold_N, minlength=num_folds))
    return [_moments(block.part(rows), names, sums) for rows in np.split(order_N, ends[:-1])]


def _moments(rows: Block, names: Names, sums: Sums) -> Moments:
    features, targets = names
    return Moments.from_block(
        rows.x_ND, rows.y_NK, rows.w_N, feature_names=features, target_names=targets, sums=sums
    )


def _sums_of(training: Training) -> Sums:
    """Return who adds up: the GPU of this worker, native kernels, or numpy."""
    if training.worker.device != "cpu":
        from linreg_dist.solvers.exact.on_gpu import sums_on

        return sums_on(training.worker.device)
    return native_sums if training.data.store.native else shifted_sums
