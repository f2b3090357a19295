"""The second pass of the exact solver, for standard errors that hold under unequal or clustered errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from linreg_dist.data.reader import RowGroupReader, category_codes
from linreg_dist.data.source.manifest import RowGroup
from linreg_dist.errors import DataError
from linreg_dist.solvers.exact.shifts import in_files_units
from linreg_dist.stats.robust import RobustMeat, RobustType
from linreg_dist.stats.solve import Solution
from linreg_dist.training.job import TrainJob
from linreg_dist.training.reading.lanes import merge_lanes
from linreg_dist.training.training import Training


def gather_meat(training: Training, solution: Solution, kind: RobustType) -> RobustMeat:
    """Sum the meat of a solution's sandwich covariance over all training rows of all workers.

    Raises:
        SpecError: the solution has no standard errors.
        DataError: on every worker alike: a row has no cluster.

    """
    job, data = training.job, training.data
    like = RobustMeat(solution, [kind], weight_type=job.spec.data.weight_type)
    clusters = _Clusters(job) if kind == "cluster" else None

    def sum_one(index: int) -> RobustMeat:
        cluster_N = None
        if clusters is None:
            block = data.store.load(index)
        else:  # blocks that are kept do not know which rows of the file they hold, so these are decoded again
            block, selection = data.store.build(index)
            cluster_N = clusters.of(job.manifest.row_groups[index], np.asarray(selection.train))
        rows = block.train
        x, y = in_files_units(rows.x_ND, rows.y_NK, data.shift)  # which are the solution's
        part = like.fresh()
        part.accumulate(x, y, rows.w_N, cluster_N, native=block.native)
        return part

    def empty() -> RobustMeat:
        return like.fresh()

    return merge_lanes(training.pass_over(sum_one, empty, "robust"), empty())


class _Clusters:
    """Reads the cluster of each row."""

    def __init__(self, job: TrainJob) -> None:
        self._name = str(job.spec.data.cluster)
        self._manifest = job.manifest
        self._reader = RowGroupReader(job.manifest, [self._name])

    def of(self, group: RowGroup, rows_N: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """Return the clusters of the given rows of a row group.

        Raises:
            DataError: one of them has none.

        """
        if not len(rows_N):
            return np.empty(0, dtype=np.int64)
        codes, levels = category_codes(self._reader.read(group).column(self._name))
        codes_N = codes[rows_N]
        missing = int(np.count_nonzero(codes_N < 0))
        if missing:
            raise DataError(
                f"{self._manifest.where(group)}: the cluster column {self._name!r} has {missing:,} null "
                "values among the training rows; expected a cluster for every row. Give those rows a cluster "
                "of their own, or leave them out with data.filter"
            )
        return np.asarray(levels)[codes_N] if levels else np.empty(0, dtype=np.int64)
