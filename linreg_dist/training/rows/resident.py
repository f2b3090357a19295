"""`ResidentSweep`: loss and gradient over all rows of a worker whose blocks are kept, in one native call a
thread.

Handing each row group to a thread takes a third of a millisecond with the interpreter's lock held, in which
memory gives 4 MB: for few columns that is as long as the sums themselves.

Shape suffixes: D encoded columns, K targets, L lanes, G row groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Block
from linreg_dist.training.rows.native import planes_of
from linreg_dist.training.rows.sweep import Hyperplane
from linreg_dist.training.training import Training

Ints = npt.NDArray[np.int64]

_MOST_NUMBERS = 1 << 21  # 16 MB of sums of units at a time


@dataclass(frozen=True)
class ResidentSweep:
    """The training rows of one worker's kept blocks, cut into units.

    Attributes:
        training: of the worker.
        blocks: of its row groups, lane by lane; they own the rows.
        lane_G: the lane of each.
        pieces: (G, 6) all training rows of each, see `linreg_dist.kernels.units`.
        units, unit_ptr: what `cut_units` made of them, a row group being a step.
        has_small: whether a row group is so small that it is copied.

    """

    training: Training
    blocks: tuple[Block, ...]
    lane_G: tuple[int, ...]
    pieces: Ints
    units: Ints
    unit_ptr: Ints
    has_small: bool

    @classmethod
    def of(cls, training: Training) -> ResidentSweep | None:
        """Return this worker's rows; None where native kernels do not sum them, or one has to be read."""
        store, order = training.data.store, training.my_row_groups
        if not store.native or training.worker.device != "cpu" or not order or not store.holds(order):
            return None
        from linreg_dist.kernels.units import cut_units

        blocks = tuple(store.load(index) for index in order)
        pieces = np.stack([block.train.addresses for block in blocks])
        width, itemsize = training.num_features + training.num_targets, blocks[0].x_ND.itemsize
        step_ptr, unit_ptr = np.arange(len(pieces) + 1), np.zeros(len(pieces) + 1, dtype=np.int64)
        none = np.empty((0, 4), dtype=np.int64)
        units = np.zeros((cut_units(pieces, step_ptr, width, itemsize, none, unit_ptr), 4), dtype=np.int64)
        if len(units):
            cut_units(pieces, step_ptr, width, itemsize, units, unit_ptr)
        lane_G = tuple(lane for lane, groups in training.my_lanes for _ in groups)
        has_small = bool((units[:, 2] < 0).any())
        return cls(training, blocks, lane_G, pieces, units, unit_ptr, has_small)

    def by_lane(self, plane: Hyperplane) -> npt.NDArray[np.float64]:
        """Return Σw, Σ loss (K), Σ w r² (K), Σ w ψ (K) and Σ w x ψ (K, D) of each lane, (L, ·), flat.

        The bits are those of row groups that are swept one by one.
        """
        from linreg_dist.kernels.sweep import add_units, sweep_all

        training, store = self.training, self.training.data.store
        size = 1 + training.num_targets * (3 + training.num_features)
        wide, narrow = planes_of(plane, self.blocks[0].x_ND.dtype)
        sums = np.zeros((training.job.num_lanes, size))
        most, group, one = max(1, _MOST_NUMBERS // size), 0, np.zeros(size)
        while group < len(self.blocks):
            first = int(self.unit_ptr[group])
            until = int(np.searchsorted(self.unit_ptr, first + most, side="right")) - 1
            until = max(until, group + 1)
            end = int(self.unit_ptr[until])
            parts, claimed = np.empty((end - first, size)), np.zeros(1, dtype=np.int64)
            arguments = (claimed, first, end, self.pieces, self.units, wide, narrow)
            is_huber = plane.epsilon_K is not None
            store.on_all_threads(lambda: sweep_all(*arguments, is_huber, self.has_small, parts))  # noqa: B023  # all of them end here
            for place in range(group, until):
                at, stop = (int(self.unit_ptr[edge]) - first for edge in (place, place + 1))
                add_units(parts[at:stop], stop - at, one)
                sums[self.lane_G[place]] += one
            group = until
        return sums
