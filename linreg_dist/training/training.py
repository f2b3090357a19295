"""`Training`: one worker's part in one job, as solvers see it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from linreg_dist.data.plan import EpochPlan, plan_epoch
from linreg_dist.data.summary import BlockSummary
from linreg_dist.kernels.blas import one_blas_thread
from linreg_dist.kernels.choice import is_yet_to_compile
from linreg_dist.training.checkpoints.first_pass import SummaryFile
from linreg_dist.training.checkpoints.lane_keeper import LaneKeeper
from linreg_dist.training.fit import Totals
from linreg_dist.training.job import TrainJob
from linreg_dist.training.metrics_log import MetricsLog
from linreg_dist.training.prepare import OpenData
from linreg_dist.training.reading.checks import check_counts, check_weight
from linreg_dist.training.reading.lanes import Mergeable, collect_by_lane, merge_lanes
from linreg_dist.training.worker import Worker

if TYPE_CHECKING:
    import torch

    from linreg_dist.training.rows.device import DeviceRows
    from linreg_dist.training.rows.sweep import Rows

M = TypeVar("M", bound=Mergeable)


@dataclass(frozen=True)
class Training:
    """One worker's part in one job: who it is, what it is told, its blocks, and where it writes progress.

    Attributes:
        worker: this one, among its peers.
        job: what is trained; its solver is settled.
        data: this worker's blocks, and how the columns were encoded.
        log: of progress and epochs; writes on rank 0 alone.
        started: `time.perf_counter` when this worker began to read.

    """

    worker: Worker
    job: TrainJob
    data: OpenData
    log: MetricsLog
    started: float = field(default_factory=time.perf_counter)

    @property
    def num_targets(self) -> int:
        """K, the number of targets."""
        return len(self.job.columns.targets)

    @property
    def num_features(self) -> int:
        """D, the number of encoded columns."""
        return self.data.encoding.num_encoded

    @property
    def my_lanes(self) -> list[tuple[int, tuple[int, ...]]]:
        """The lanes that this worker owns, in order, each with its row groups."""
        lanes = self.job.lanes
        mine = self.job.lanes_of(self.worker.rank, self.worker.world_size)
        return [(lane, lanes[lane]) for lane in mine]

    @property
    def my_row_groups(self) -> list[int]:
        """The row groups that this worker owns, lane by lane, in order."""
        return [index for _, groups in self.my_lanes for index in groups]

    def epoch_plan(self, epoch: int, steps: int) -> EpochPlan:
        """Return the order of the rows of one epoch, in so many steps: see `plan_epoch`."""
        solver = self.job.spec.solver
        return plan_epoch(
            self.job.manifest,
            self.job.lanes,
            epoch=epoch,
            steps=steps,
            shuffle=solver.shuffle,
            seed=solver.seed,
            row_elements=self.num_features,
        )

    def rows(self, index: int) -> Rows:
        """Return the training rows of a row group of this worker's, as tensors on its device."""
        kept = self.on_device.train_rows(index)
        if kept is not None:
            return kept
        block = self.data.store.load(index)
        return self.on_device.of(index, block, slice(0, block.num_train))

    @cached_property
    def on_device(self) -> DeviceRows:
        """The rows of this worker's blocks where the arithmetic is done."""
        from linreg_dist.training.rows.device import DeviceRows

        worker, groups = self.worker, self.job.manifest.row_groups
        if worker.gpus is None:
            return DeviceRows(worker.device, None)
        num_rows = sum(groups[index].num_rows for index in self.my_row_groups)
        return DeviceRows(worker.device, worker.gpus.free_bytes(worker.device), num_rows)

    def moved(self, worker: Worker) -> Training:
        """Return the same part on another device of this worker's; what was read is not read again."""
        there = replace(self, worker=worker)
        if "_read" in self.__dict__:
            there.__dict__["_read"] = self._read
        return there

    def pass_over(
        self,
        part_of: Callable[[int], M],
        empty: Callable[[], M],
        phase: str,
        keeper: LaneKeeper[M] | None = None,
    ) -> list[M]:
        """Return what one pass over all row groups of all workers finds, one part for each lane.

        Every worker must call it, and all get the same, for any number of workers.

        Args:
            part_of: what there is to find in a row group; called on several threads.
            empty: what there is in no rows.
            phase: names the pass in ticks of progress.
            keeper: keeps the lanes' parts, so that a job that is continued does not read those rows again.

        Raises:
            LinregDistError: what a worker raised, on all of them.

        """

        def results(order: list[int]) -> Iterator[M]:
            return self.data.store.map(part_of, order)

        compiles = self.data.store.native and is_yet_to_compile()
        with one_blas_thread():
            return collect_by_lane(
                self.worker, self.job, results, empty, self.log, phase, keeper, compiles=compiles
            )

    def sum_over(self, function: Callable[[Rows], torch.Tensor], size: int) -> torch.Tensor:
        """Return the sum of a function's values, float64 vectors of ``size``, over all training rows.

        Each lane is summed by itself, in order, and the lanes are added in order: the same bits for any
        number of workers. Every worker must call it.
        """
        import torch

        order = [(lane, index) for lane, groups in self.my_lanes for index in groups]

        def one(index: int) -> torch.Tensor:
            return function(self.rows(index))

        # A lane of another worker is zero here, and adding zero changes nothing.
        by_lane = np.zeros((self.job.num_lanes, size))
        parts: Iterable[torch.Tensor] = self.data.store.map(one, [index for _, index in order])
        if order and self.worker.gpus is not None:  # a device is waited for once, not for each row group
            parts = torch.stack(list(parts)).cpu()
        for (lane, _), part in zip(order, parts, strict=True):
            by_lane[lane] += part.numpy()
        return torch.from_numpy(self.sum_of_lanes(by_lane))

    def sum_of_lanes(self, by_lane: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return the sum over the lanes of all workers, added in order. Every worker must call it.

        Args:
            by_lane: what this worker found in each, (lanes, ·); zero in those of other workers.

        """
        total = np.zeros(by_lane.shape[1])
        for lane_sum in self.worker.sum(by_lane):
            total += lane_sum
        return total

    @property
    def summary(self) -> BlockSummary:
        """Counts, means and spreads over the rows of all workers, checked; read when first asked for.

        Every worker must ask.

        Raises:
            DataError: on every worker alike: see `check_counts` and `check_weight`.

        """
        return self._read[0]

    @property
    def totals(self) -> Totals:
        """What `summary` found of all rows together, in the units of the files."""
        found = self.summary
        return Totals(found.counts, found.x.mean + self.data.shift.x_D, found.x.std)

    @property
    def read_s(self) -> float:
        """Seconds from the start until `summary` was there."""
        return self._read[1]

    @cached_property
    def _read(self) -> tuple[BlockSummary, float]:
        job, data, on_device = self.job, self.data, self.on_device

        def summarise(index: int) -> BlockSummary:
            block, selection = data.store.build(index)
            on_device.keep(index, block)  # copied while other row groups are decoded
            return BlockSummary.of(block, selection, index, job.manifest.row_groups[index].num_rows)

        def empty() -> BlockSummary:
            return BlockSummary.empty(self.num_features, self.num_targets)

        keeper = LaneKeeper(job, data, SummaryFile())
        summary = merge_lanes(self.pass_over(summarise, empty, "read", keeper), empty())
        check_counts(job, summary.counts)
        check_weight(job, summary.counts, summary.y.weight)
        return summary, time.perf_counter() - self.started
