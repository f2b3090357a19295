"""The rows of each optimizer step, taken from a worker's lanes in the order of the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from linreg_dist.data.plan import EpochPlan
from linreg_dist.data.store import BlockStore
from linreg_dist.training.rows.device import DeviceRows
from linreg_dist.training.rows.sweep import Rows


def epoch_batches(
    store: BlockStore,
    plan: EpochPlan,
    lanes: Sequence[int],
    on_device: DeviceRows,
    first_step: int = 0,
    *,
    stay_here: bool = False,
) -> Iterator[list[Rows]]:
    """Yield this worker's rows for every step from ``first_step`` on; a list may be empty, none is left
    out. With ``stay_here`` only blocks that are kept on the device are there.
    """
    of = on_device.of_or_here if stay_here else on_device.of
    blocks = store.open(plan.order_of_use(lanes, first_step))
    for step in range(first_step, plan.steps):
        pieces = []
        finished = []
        for lane in lanes:
            for share in plan.slices(lane, step):
                block = blocks.take(share.group)
                spans = [slice(a, b) for a, b in share.spans(block.num_train)]
                pieces += [of(share.group, block, rows) for rows in spans]
                if share.stop == share.of:
                    finished.append(share.group)
        yield pieces
        for group in finished:
            blocks.release(group)
