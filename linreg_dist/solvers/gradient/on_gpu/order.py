"""`StepOrder`: the rows of each step of an epoch, as places in one long tensor.

It is `EpochPlan.slices` with `Slice.spans` for all steps at once, laid out on the device by a few operations.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.plan import EpochPlan, merged_parts
from linreg_dist.training.rows.device import KeptBlock

Ints = npt.NDArray[np.int64]

_LARGEST = 1 << 62  # products of rows and steps above it do not fit in 64 bits


@dataclass(frozen=True)
class StepOrder:
    """The order of an epoch.

    Attributes:
        rows: the places of all rows in the order of the steps, (N,), int32 where that is enough.
        begins: where each step begins in ``rows``, and the last one ends, (steps + 1,).
        most_rows: of a step.

    """

    rows: torch.Tensor
    begins: torch.Tensor
    most_rows: int


def fits(plan: EpochPlan) -> bool:
    """Return whether the positions of all steps can be computed in 64 bits."""
    longest = max((sum(rows for _, rows in lane) for lane in plan.lanes), default=0)
    return longest * (plan.steps + 1) < _LARGEST


def most_rows_of_a_step(plan: EpochPlan, lanes: Sequence[int]) -> int:
    """Return a bound on the rows of a step, whatever of them trains."""
    counts = np.zeros(plan.steps, dtype=np.int64)
    for lane in lanes:
        counts += np.diff(_bounds(plan, lane))
    return int(counts.max(initial=0))


def step_order(
    plan: EpochPlan,
    lanes: Sequence[int],
    kept: Mapping[int, KeptBlock],
    first_step: int,
    device: torch.device,
) -> StepOrder:
    """Return the order of the steps from ``first_step`` on; those before it have no rows.

    Args:
        plan: of the epoch.
        lanes: of this worker.
        kept: where the blocks are that these steps need.
        first_step: where the epoch begins or is continued.
        device: where the order is wanted.

    """
    steps: list[Ints] = []  # of each segment: its step, where it begins in lane order, and its rows
    begins: list[Ints] = []
    lengths: list[Ints] = []
    parts: list[tuple[int, int]] = []  # in lane order: the first row of a part of a block, and its rows
    num_rows = 0
    for lane in lanes:
        bounds, first = _bounds(plan, lane), 0
        for index, planned in plan.lanes[lane]:
            low = int(np.searchsorted(bounds, first, "right")) - 1
            high = int(np.searchsorted(bounds, first + planned, "left"))
            low, first = max(low, first_step), first + planned
            if low >= high:
                continue
            block = kept[index]
            cut = np.clip(bounds[low : high + 1] - (first - planned), 0, planned) * block.num_train // planned
            steps.append(np.arange(low, high))
            begins.append(num_rows + cut[:-1])
            lengths.append(np.diff(cut))
            at = 0
            for end, offset in merged_parts(plan.part_orders.get(index, (0,)), block.num_train):
                parts.append((block.start + at + offset, end - at))
                at = end
            num_rows += block.num_train
    none = [np.zeros(0, dtype=np.int64)]
    step, begin, length = (np.concatenate(each or none) for each in (steps, begins, lengths))
    order = np.argsort(step, kind="stable")  # lanes stay in order within a step
    counts = np.bincount(step, weights=length, minlength=plan.steps).astype(np.int64)
    step_begins = np.concatenate([[0], np.cumsum(counts)])
    table = np.array(parts, dtype=np.int64).reshape(-1, 2)
    in_lanes = _ranges(table[:, 0], table[:, 1], device)
    rows = in_lanes.index_select(0, _ranges(begin[order], length[order], device))
    last = max((block.start + block.num_rows for block in kept.values()), default=0)
    return StepOrder(
        rows.to(torch.int32) if last < 1 << 31 else rows,
        torch.from_numpy(step_begins).to(device),
        int(counts.max(initial=0)),
    )


def _bounds(plan: EpochPlan, lane: int) -> Ints:
    """Return where each step begins among a lane's rows; see `EpochPlan.slices`."""
    total = sum(rows for _, rows in plan.lanes[lane])
    offset = lane * plan.steps // len(plan.lanes)
    found: Ints = (total * np.arange(plan.steps + 1, dtype=np.int64) + offset) // plan.steps
    return found


def _ranges(starts: Ints, lengths: Ints, device: torch.device) -> torch.Tensor:
    """Return the ranges that begin at ``starts``, one after the other."""
    total = int(lengths.sum())
    before = np.concatenate([[0], np.cumsum(lengths)[:-1]]) if len(lengths) else lengths
    shift, count = (torch.from_numpy(each).to(device) for each in (starts - before, lengths))
    shifts = torch.repeat_interleave(shift, count, output_size=total)
    return shifts + torch.arange(total, device=device)
