"""The rows of each optimizer step, taken from a worker's lanes in the order of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from linreg_dist.data.block import Block
from linreg_dist.data.plan import EpochPlan
from linreg_dist.data.store import BlockStore
from linreg_dist.training.sweep import Rows


def rows_of(block: Block, start: int, stop: int, device: torch.device) -> Rows:
    """Return rows [start, stop) of a block, on ``device``.

    On the CPU these are views. To a GPU the columns are copied through pinned memory, asynchronously.
    """
    x, y = block.x_ND[start:stop], block.y_NK[start:stop]
    w = None if block.w_N is None else block.w_N[start:stop]
    if device.type == "cpu":
        return Rows(x, y, w)

    def move(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.contiguous().pin_memory().to(device, non_blocking=True)

    # Transposed, so that what is contiguous on the host (a column) is contiguous on the device.
    return Rows(move(x.t()).t(), move(y.t()).t(), None if w is None else move(w))


def epoch_batches(
    store: BlockStore, plan: EpochPlan, lanes: Sequence[int], device: torch.device, first_step: int = 0
) -> Iterator[list[Rows]]:
    """Yield this worker's rows for every step from ``first_step`` on; a list may be empty, none is left
    out.
    """
    blocks = store.open(plan.order_of_use(lanes, first_step))
    for step in range(first_step, plan.steps):
        pieces = []
        finished = []
        for lane in lanes:
            for share in plan.slices(lane, step):
                block = blocks.take(share.group)
                pieces += [rows_of(block, a, b, device) for a, b in share.spans(block.num_train)]
                if share.stop == share.of:
                    finished.append(share.group)
        yield pieces
        for group in finished:
            blocks.release(group)
