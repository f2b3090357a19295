"""`RowGroupMoments`: what the exact pass finds in one row group, in this process or in a reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Block, Shift
from linreg_dist.data.cache import BlockCache
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.in_place import ColumnsInPlace
from linreg_dist.data.rows import RowSelection
from linreg_dist.data.store import BlockStore
from linreg_dist.data.summary import RowCounts
from linreg_dist.kernels.blas import one_blas_thread
from linreg_dist.solvers.exact.sums.folds import fold_of_rows, rows_per_run, spans_of_folds
from linreg_dist.solvers.exact.sums.partials import MomentPart
from linreg_dist.stats.column_moments import moments_of_block, moments_of_columns
from linreg_dist.stats.kernel import Sums, native_sums, shifted_sums
from linreg_dist.stats.moments import Moments
from linreg_dist.training.job import TrainJob
from linreg_dist.training.prepare import block_builder

Names = tuple[tuple[str, ...], tuple[str, ...]]  # of features and targets

_MIN_RUN = 64  # below this, gathering single rows costs less than a copy for each run


class RowGroupMoments:
    """The counts and moments of a row group.

    Args:
        job: what is trained.
        store: decodes row groups.
        names: of the features and the targets.
        sums: who adds up.

    """

    def __init__(self, job: TrainJob, store: BlockStore, names: Names, sums: Sums) -> None:
        self._job, self._store, self._names, self._sums = job, store, names, sums
        self._num_folds = job.spec.tune.folds if job.spec.tune else 0
        self.parts = max(self._num_folds, 1)
        # What is taken away is summed beside it: its folds, and its validation rows as one more.
        self.extra = self.parts + 1 if job.removed else 0

    def empty(self) -> MomentPart:
        """Return what there is in no rows."""
        return MomentPart({}, Moments.empty(*self._names), self._nothing(self.parts + self.extra))

    def __call__(self, index: int) -> MomentPart:
        """Return what there is in a row group.

        Raises:
            DataError: it cannot be read or encoded, or has values too large to be squared.

        """
        if self._num_folds == 0 and self._sums is native_sums:
            columns = self._store.in_place(index)
            found = None if columns is None else self._in_place(columns)
            if columns is not None and found is not None:
                return self._part(index, columns.selection, lambda: found)
            if columns is not None:
                self._store.expect_gaps()
        block, selection = self._store.build(index)

        def sums() -> tuple[Moments, list[Moments]]:
            validation = self._of(block.validation)
            if self._num_folds == 0:
                return validation, [self._of(block.train)]
            return validation, self._of_folds(index, block, selection)

        return self._part(index, selection, sums)

    def _nothing(self, number: int) -> list[Moments]:
        return [Moments.empty(*self._names) for _ in range(number)]

    def _part(
        self, index: int, selection: RowSelection, sums: Callable[[], tuple[Moments, list[Moments]]]
    ) -> MomentPart:
        job = self._job
        counts = RowCounts()
        counts.add(selection, index, job.manifest.row_groups[index].num_rows)
        if selection.missing and job.spec.data.missing == "error":
            # The job will be refused once all is counted, and NaN has no moments.
            return replace(self.empty(), counts={index: counts})
        validation, folds = sums()
        if index in job.removed:
            (nothing,) = self._nothing(1)
            return MomentPart({index: counts}, nothing, [*self._nothing(self.parts), *folds, validation])
        return MomentPart({index: counts}, validation, [*folds, *self._nothing(self.extra)])

    def _in_place(self, columns: ColumnsInPlace) -> tuple[Moments, list[Moments]] | None:
        """Return the moments of the validation and of the training rows; None where a block has to tell why
        not.

        Rows that lack a value where none may be lacking are only counted.
        """
        if columns.selection.missing and self._job.spec.data.missing == "error":
            return Moments.empty(*self._names), self._nothing(1)
        rows, num_train = (columns.dtype, columns.addresses_Z, columns.w_N, columns.rows_M), columns.num_train
        train = moments_of_columns(*rows, 0, num_train, self._names)
        validation = moments_of_columns(*rows, num_train, columns.num_rows, self._names)
        return None if train is None or validation is None else (validation, [train])

    def _of_folds(self, index: int, block: Block, selection: RowSelection) -> list[Moments]:
        """Return the moments of the training rows of each fold within a block."""
        group = self._job.manifest.row_groups[index]
        file = self._job.manifest.files[group.file]
        rows: range | npt.NDArray[np.uint64] = range(group.first_row, group.first_row + group.num_rows)
        if block.num_train != group.num_rows:
            rows = group.first_row + np.asarray(selection.train).astype(np.uint64)
        run = rows_per_run(file.num_rows)
        if run >= _MIN_RUN:
            taken = block.train
            return Moments.from_spans(
                taken.x_ND,
                taken.y_NK,
                taken.w_N,
                spans_of_folds(file.key, rows, self._num_folds, run),
                feature_names=self._names[0],
                target_names=self._names[1],
                sums=self._sums,
            )
        fold_N = fold_of_rows(file.key, np.asarray(rows, dtype=np.uint64), self._num_folds, run)
        order_N = np.argsort(fold_N, kind="stable")
        ends = np.cumsum(np.bincount(fold_N, minlength=self._num_folds))
        return [self._of(block.part(rows)) for rows in np.split(order_N, ends[:-1])]

    def _of(self, rows: Block) -> Moments:
        features, targets = self._names
        if self._sums is native_sums:
            found = moments_of_block(rows, self._names)
            if found is not None:
                return found
        return Moments.from_block(
            rows.x_ND, rows.y_NK, rows.w_N, feature_names=features, target_names=targets, sums=self._sums
        )


@dataclass(frozen=True)
class MomentTask:
    """`RowGroupMoments` for a reader process, which decodes by itself and keeps nothing.

    Attributes:
        job, encoding, shift: of the caller.

    """

    job: TrainJob
    encoding: Encoding
    shift: Shift

    def open(self) -> Callable[[int], tuple[MomentPart, int]]:
        """Return a function of a row group's index: its part, and the bytes that were read for it."""
        job = self.job
        builder = block_builder(job, self.encoding, self.shift, job.solver.block_dtype(job))
        store = BlockStore(job.manifest, builder, BlockCache(0, 0, Path()), num_threads=1)
        names = self.encoding.names, job.columns.targets
        moments = RowGroupMoments(job, store, names, native_sums if store.native else shifted_sums)

        def read(index: int) -> tuple[MomentPart, int]:
            before = store.bytes_read
            with one_blas_thread():
                part = moments(index)
            return part, store.bytes_read - before

        return read
