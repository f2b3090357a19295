"""The plan of an epoch, a pure function: which worker reads which row group in which step.

The row groups are dealt into a fixed number of *lanes* (virtual shards). Each optimizer step takes from every
lane its next share of rows, and a worker owns whole lanes. So the rows of a step do not depend on how many
workers there are: the answer is the same on one, two or seven, and a resumed job may have another number than
the one that died. Every lane spreads its rows evenly over all the steps of an epoch, so lanes (and workers)
end together, whatever their sizes, and no rank waits for one that has finished.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate

import numpy as np

from linreg_dist.data.source.manifest import Manifest

MAX_LANES = 12  # divisible by 1, 2, 3, 4, 6: even shares for the usual small numbers of workers
# A row group's parts are permuted each epoch: slices of memory, so that reshuffling moves no row.
_MOST_PARTS = 16
_PART_ELEMENTS = 1 << 20  # one slice of the sweep
_OPEN_BYTES = 1 << 30  # decoded bytes that one worker may hold open: one row group per lane
_OPEN_BYTES_UNCACHED = 1 << 26  # likewise, for a job that asked to keep nothing in memory or on disk


@dataclass(frozen=True)
class Slice:
    """A share of one row group: its training rows from ``start/of`` to ``stop/of``.

    The rows are counted after the block's equal parts have been put into ``order``.

    Shares are fractions because how many rows of a group train is known only once it is decoded; the
    fractions of a group's slices in one epoch meet exactly, so each training row is used once.
    """

    group: int
    start: int
    stop: int
    of: int
    order: tuple[int, ...] = (0,)

    def spans(self, num_rows: int) -> list[tuple[int, int]]:
        """Return the half-open row ranges of this slice in a block with ``num_rows`` training rows."""
        first, last = self.start * num_rows // self.of, self.stop * num_rows // self.of
        if first >= last:
            return []
        ends, offsets = _parts(self.order, num_rows)
        spans: list[tuple[int, int]] = []
        place = bisect.bisect_right(ends, first)
        while first < last:
            end = min(ends[place], last)
            low, high = first + offsets[place], end + offsets[place]
            if spans and spans[-1][1] == low:
                low = spans.pop()[0]
            spans.append((low, high))
            first, place = end, bisect.bisect_right(ends, end)
        return spans


@lru_cache(maxsize=256)
def _parts(order: tuple[int, ...], num_rows: int) -> tuple[list[int], list[int]]:
    """Return where each part ends when the parts of ``num_rows`` rows are put in order, and by how much it
    moved: row i of the reordered rows is row i + offset of the block.
    """
    ends, offsets, begin = [], [], 0
    for part in order:
        low, high = part * num_rows // len(order), (part + 1) * num_rows // len(order)
        offsets.append(low - begin)
        begin += high - low
        ends.append(begin)
    return ends, offsets


def merged_parts(order: tuple[int, ...], num_rows: int) -> list[tuple[int, int]]:
    """Return (end, offset) of the parts of ``num_rows`` rows in order, see `Slice.spans`, without empty parts
    and with neighbours that stayed neighbours in one.
    """
    merged: list[tuple[int, int]] = []
    for end, offset in zip(*_parts(order, num_rows), strict=True):
        if merged and merged[-1][0] == end:
            continue
        if merged and merged[-1][1] == offset:
            merged.pop()
        if end:
            merged.append((end, offset))
    return merged


def num_lanes(
    manifest: Manifest,
    num_workers: int,
    row_nbytes: int,
    virtual_shards: int | None = None,
    *,
    cached: bool = True,
) -> int:
    """Return how many lanes to deal the row groups into.

    Args:
        manifest: the row groups.
        num_workers: processes that train; only raises the number when there are more of them than lanes.
        row_nbytes: decoded bytes a row: a worker alone holds one row group of every lane open.
        virtual_shards: the user's choice, or None for `MAX_LANES` or as many as fit in a gibibyte.
        cached: whether blocks are kept between passes; if not, open row groups have to fit in 64 MiB.

    """
    if virtual_shards is None:
        largest = max(group.num_rows for group in manifest.row_groups) * row_nbytes
        open_bytes = _OPEN_BYTES if cached else _OPEN_BYTES_UNCACHED
        lanes = max(1, min(MAX_LANES, open_bytes // max(largest, 1)))
    else:
        lanes = virtual_shards
    lanes = min(lanes, len(manifest.row_groups))
    return lanes if num_workers <= lanes else min(num_workers, max(len(manifest.row_groups), 1))


def deal_lanes(manifest: Manifest, lanes: int) -> tuple[tuple[int, ...], ...]:
    """Deal row groups to lanes, the largest first, each to the lane with the fewest rows so far.

    Returns:
        For each lane the indices of its row groups in file order. Every row group is in exactly one lane.

    """
    dealt: list[list[int]] = [[] for _ in range(lanes)]
    load = [0] * lanes
    for group in sorted(manifest.row_groups, key=lambda group: (-group.num_rows, group.index)):
        lightest = min(range(lanes), key=lambda lane: (load[lane], lane))
        dealt[lightest].append(group.index)
        load[lightest] += group.num_rows
    return tuple(tuple(sorted(groups)) for groups in dealt)


def lanes_of_worker(lanes: int, rank: int, world_size: int) -> range:
    """Return the lanes that worker ``rank`` owns."""
    return range(rank, lanes, world_size)


def num_steps(train_rows: int, global_batch_size: int) -> int:
    """Return optimizer steps per epoch: enough that the mean step has at most ``global_batch_size`` rows."""
    return max(1, math.ceil(train_rows / global_batch_size))


@dataclass(frozen=True)
class EpochPlan:
    """The order of one epoch.

    Attributes:
        lanes: for each lane its row groups with their row counts, in this epoch's order.
        part_orders: for each row group the order of its equal parts; without one it is read from top to
            bottom.
        steps: optimizer steps.

    """

    lanes: tuple[tuple[tuple[int, int], ...], ...]
    part_orders: dict[int, tuple[int, ...]]
    steps: int

    def slices(self, lane: int, step: int) -> list[Slice]:
        """Return what ``lane`` contributes to ``step``, in order."""
        groups, starts = self.lanes[lane], self._starts[lane]
        total = starts[-1]
        begin, end = self._position(lane, total, step), self._position(lane, total, step + 1)
        taken = []
        place = bisect.bisect_right(starts, begin) - 1
        while place < len(groups) and starts[place] < end:
            (index, rows), first = groups[place], starts[place]
            low, high = max(begin - first, 0), min(end - first, rows)
            if low < high:
                taken.append(Slice(index, low, high, rows, self.part_orders.get(index, (0,))))
            place += 1
        return taken

    @cached_property
    def _starts(self) -> list[list[int]]:
        """For each lane the row number at which each of its row groups begins, and the number of its rows."""
        return [list(accumulate((rows for _, rows in lane), initial=0)) for lane in self.lanes]

    def order_of_use(self, lanes: Sequence[int], first_step: int = 0) -> list[int]:
        """Return the row groups of ``lanes`` in the order in which steps from ``first_step`` on first
        need them.
        """
        needed: list[tuple[int, int, int]] = []
        for lane in lanes:
            total = sum(rows for _, rows in self.lanes[lane])
            begin = self._position(lane, total, first_step)
            first = 0
            for index, rows in self.lanes[lane]:
                if first + rows > begin:
                    needed.append((self._step_at(lane, total, max(first, begin)), lane, index))
                first += rows
        return [index for _, _, index in sorted(needed)]

    def last_step_of(self, lane: int, group: int) -> int:
        """Return the last step that uses rows of one of a lane's row groups."""
        starts = self._starts[lane]
        place = next(i for i, (index, _) in enumerate(self.lanes[lane]) if index == group)
        return self._step_at(lane, starts[-1], starts[place + 1] - 1)

    def _position(self, lane: int, total: int, step: int) -> int:
        # The lanes take turns (the offset), so that steps smaller than the number of lanes are of equal size
        # too.
        return (total * step + lane * self.steps // len(self.lanes)) // self.steps

    def _step_at(self, lane: int, total: int, row: int) -> int:
        """Return the step in which a lane's row number ``row`` is used."""
        offset = lane * self.steps // len(self.lanes)
        return max(0, -(-((row + 1) * self.steps - offset) // total) - 1)


def plan_epoch(
    manifest: Manifest,
    dealt: Sequence[Sequence[int]],
    *,
    epoch: int,
    steps: int,
    shuffle: bool,
    seed: int,
    row_elements: int = 1,
) -> EpochPlan:
    """Return the order of one epoch: row groups permuted within their lane, the parts of each row group too.

    A row group has so many parts that sweeping one outweighs handling it (``row_elements`` is the width of a
    row), but a lane has at least sixteen.

    Together with the fixed permutation inside each row group this mixes rows as far as a lane reaches. It is
    not a uniform shuffle of the data set: rows of one row group stay near each other in time, and a step sees
    at most one or two row groups per lane.

    Row groups that only validate are left out.
    """
    lanes = []
    part_orders: dict[int, tuple[int, ...]] = {}
    for lane, groups in enumerate(dealt):
        order = [index for index in groups if manifest.role(manifest.row_groups[index]) == "train"]
        if shuffle:
            generator = np.random.default_rng([seed, epoch, lane])
            order = [order[i] for i in generator.permutation(len(order))]
            fewest = -(-_MOST_PARTS // max(len(order), 1))
            for index in order:
                elements = manifest.row_groups[index].num_rows * row_elements
                parts = max(fewest, min(elements // _PART_ELEMENTS, _MOST_PARTS))
                part_orders[index] = tuple(generator.permutation(parts).tolist())
        lanes.append(tuple((index, manifest.row_groups[index].num_rows) for index in order))
    return EpochPlan(tuple(lanes), part_orders, steps)
