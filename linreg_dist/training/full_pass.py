"""Sums over all training rows of all workers, with the same bits for any number of workers."""

from __future__ import annotations

from collections.abc import Callable

import torch

from linreg_dist.training.batches import rows_of
from linreg_dist.training.job import TrainJob
from linreg_dist.training.prepare import OpenData
from linreg_dist.training.sweep import Rows
from linreg_dist.training.worker import Worker


def sum_over_rows(
    worker: Worker, job: TrainJob, data: OpenData, function: Callable[[Rows], torch.Tensor], size: int
) -> torch.Tensor:
    """Return the sum of a function's values, float64 vectors of ``size``, over all row groups.

    Each lane is summed by itself, in order, and the lanes are added in order. Every worker must call it.
    """
    lanes = job.lanes
    order = [(lane, index) for lane in job.lanes_of(worker.rank, worker.world_size) for index in lanes[lane]]

    def one(index: int) -> torch.Tensor:
        block = data.store.load(index)
        return function(rows_of(block, 0, block.num_train, worker.device)).cpu()

    # A lane of another worker is zero here, and adding zero changes nothing.
    by_lane = torch.zeros((len(lanes), size), dtype=torch.float64)
    parts = data.store.map(one, [index for _, index in order])
    for (lane, _), part in zip(order, parts, strict=True):
        by_lane[lane] += part
    total = torch.zeros(size, dtype=torch.float64)
    for lane_sum in worker.sum(by_lane):
        total += lane_sum
    return total
