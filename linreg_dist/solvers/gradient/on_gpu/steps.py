"""`DeviceSteps`: many steps in one go for a worker that trains alone on a GPU.

While all rows fit on the device a step gathers its own there, by an order that was laid out for the epoch;
else they are streamed through two chunks. Either way nothing waits for the device before a tenth of a second
of steps is launched. Between calls the model and what its rule remembers are where `SweptLinear` and
`PenalisedOptimizer` keep them, so checkpoints are the same as of any other steps.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch

from linreg_dist.data.plan import EpochPlan
from linreg_dist.data.store import BlockStore
from linreg_dist.solvers.gradient.batches import epoch_batches
from linreg_dist.solvers.gradient.on_gpu.fused import MOST_STEPS, FusedStep
from linreg_dist.solvers.gradient.on_gpu.order import fits, most_rows_of_a_step, step_order
from linreg_dist.solvers.gradient.optim import PenalisedOptimizer
from linreg_dist.training.rows.capture import Capture, Replay, capture_for
from linreg_dist.training.rows.device import DeviceRows, KeptBlock
from linreg_dist.training.rows.link import Link
from linreg_dist.training.rows.sweep import Rows, SweepPool, SweptLinear
from linreg_dist.training.training import Training
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

_CALL_S = 0.1  # of one call: ticks, checkpoints and interrupts wait for its end
_CHUNK_ELEMENTS = 1 << 26  # numbers that a step gathers at a time: 256 MiB of float32


class OnGpu:
    """`ManySteps` on a GPU.

    Args:
        training: this worker's part in the job.
        model, optimizer, kind, averages: see `FusedStep`.
        pool: threads that put rows together where they are streamed.

    """

    def __init__(
        self,
        training: Training,
        model: SweptLinear,
        optimizer: PenalisedOptimizer,
        kind: str,
        *,
        averages: bool,
        pool: SweepPool,
    ) -> None:
        self._training, self._on_device, self._pool = training, training.on_device, pool
        self._device = model.linear.weight.device
        block_dtype = np.dtype(training.job.solver.block_dtype(training.job))
        self._dtype = torch.from_numpy(np.zeros(0, block_dtype)).dtype
        self._itemsize = block_dtype.itemsize
        spec = training.job.spec
        self._fused = FusedStep(model, optimizer, spec, kind, averages=averages, dtype=self._dtype)
        self._steps = DeviceSteps(self._fused, spec.run.checkpoint_every_s)
        self._lanes = list(training.job.lanes_of(training.worker.rank, training.worker.world_size))
        self._rows: ResidentRows | StreamedRows | None = None
        memory = 0 if training.worker.gpus is None else training.worker.gpus.scratch_bytes
        self._chunk_elements = max(1, min(_CHUNK_ELEMENTS, memory // (8 * self._itemsize)))

    def begin(self, plan: EpochPlan, first_step: int) -> bool:
        """Get ready for an epoch."""
        if not fits(plan):
            return False
        on_device, store = self._on_device, self._training.data.store
        kept = None
        if not isinstance(self._rows, StreamedRows):
            kept = keep_all(on_device, store, plan.order_of_use(self._lanes, first_step))
        capture = capture_for(self._device)
        if kept is not None and on_device.x_RD is not None:
            if self._rows is None:
                self._rows = ResidentRows(
                    self._fused, on_device, plan, self._lanes, capture, chunk_elements=self._chunk_elements
                )
            if isinstance(self._rows, ResidentRows):
                self._rows.plan(plan, kept, first_step)
                return True
        if not isinstance(self._rows, StreamedRows):
            width, targets = self._training.num_features, self._training.num_targets
            most = most_rows_of_a_step(plan, self._lanes)
            chunk = max(1, min(most, self._chunk_elements // (width + targets + 1)))
            link = Link(self._device, chunk, width, targets, self._dtype, self._pool.executor)
            self._rows = StreamedRows(self._fused, on_device, store, plan, self._lanes, link, capture)
            logger.info(
                "the rows do not all fit in the memory of the GPU: %s of %s are kept there, and the others "
                "are copied for each step",
                f"{on_device.num_kept:,}",
                f"{on_device.num_rows:,}",
            )
        self._rows.plan(plan, first_step)
        return True

    def run(self, first: int, number: int, epoch_sums: torch.Tensor, mean: torch.Tensor) -> tuple[int, bool]:
        """Take steps for about a tenth of a second."""
        if self._rows is None:
            raise RuntimeError("run must follow begin")
        return self._steps.run(self._rows, first, number, epoch_sums, mean)

    def end(self) -> None:
        """Let go of the rows of the epoch; what is on the device stays there."""
        if isinstance(self._rows, StreamedRows):
            self._rows.end()


class StepRows(Protocol):
    """The rows of an epoch's steps, in turn."""

    steps: int

    def start(self, step: int) -> None:
        """Begin a series of steps at this one of the epoch."""

    def take(self) -> None:
        """Launch the next step."""


class DeviceSteps:
    """Takes steps of an epoch.

    Args:
        fused: the step.
        checkpoint_every_s: a call takes no longer.

    """

    def __init__(self, fused: FusedStep, checkpoint_every_s: float) -> None:
        self._fused = fused
        self._call_s = min(_CALL_S, checkpoint_every_s)
        self._most_steps = 1

    def run(
        self, rows: StepRows, first: int, number: int, epoch_sums: torch.Tensor, mean: torch.Tensor
    ) -> tuple[int, bool]:
        """Take steps for about a tenth of a second; see `NativeSteps.run`."""
        started = time.perf_counter()
        count = min(self._most_steps, rows.steps - first)
        self._fused.load(first, number, count, mean)
        rows.start(first)
        for _ in range(count):
            rows.take()
        taken, diverged = self._fused.store(epoch_sums, mean)
        seconds = time.perf_counter() - started
        if seconds > self._call_s:
            self._most_steps = max(1, self._most_steps // 2)
        elif seconds < self._call_s / 2:
            self._most_steps = max(self._most_steps, min(2 * count, MOST_STEPS))
        return taken, diverged


class ResidentRows:
    """Rows that are all on the device: a step gathers its own.

    Args:
        fused: the step.
        on_device: where the rows are.
        plan: of the first epoch; those after it have as many steps.
        lanes: this worker's.
        capture: how to capture a step; see `capture_for`.

    """

    def __init__(
        self,
        fused: FusedStep,
        on_device: DeviceRows,
        plan: EpochPlan,
        lanes: Sequence[int],
        capture: Capture | None,
        *,
        chunk_elements: int = _CHUNK_ELEMENTS,
    ) -> None:
        if on_device.x_RD is None or on_device.y_RK is None:
            raise RuntimeError("no rows are kept on the device")
        self._fused, self._lanes, self.steps = fused, lanes, plan.steps
        self._x_RD, self._y_RK, self._w_R = on_device.x_RD, on_device.y_RK, on_device.w_R
        device, width = self._x_RD.device, self._x_RD.shape[1]
        self._first = torch.zeros(1, dtype=torch.int64, device=device)
        # Memory that is the same in all epochs; longer than an epoch's rows where some validate.
        self._rows = torch.zeros(len(self._x_RD), dtype=torch.int32, device=device)
        if len(self._x_RD) >= 1 << 31:
            self._rows = self._rows.long()
        self._begins = torch.zeros(plan.steps + 1, dtype=torch.int64, device=device)
        most = max(1, most_rows_of_a_step(plan, lanes))
        chunk = min(most, max(1, chunk_elements // width))
        self._in_chunk = torch.arange(chunk, device=device)
        self._chunks = list(range(0, most, chunk))
        self._step = Replay(self._take, fused.changes, capture)

    def plan(self, plan: EpochPlan, kept: dict[int, KeptBlock], first_step: int) -> None:
        """Lay out the order of an epoch."""
        order = step_order(plan, self._lanes, kept, first_step, self._x_RD.device)
        self._rows[: len(order.rows)].copy_(order.rows)
        self._begins.copy_(order.begins)

    def start(self, step: int) -> None:
        """Begin a series of steps at this one of the epoch."""
        self._first.fill_(step)

    def take(self) -> None:
        """Launch the next step."""
        self._step()

    def _take(self) -> None:
        fused = self._fused
        step = (self._first + fused.step).clamp_max(self.steps - 1)
        begin = self._begins.index_select(0, step)
        count = self._begins.index_select(0, step + 1) - begin
        fused.begin()
        for first in self._chunks:
            number = self._in_chunk + first
            rows = self._rows.index_select(0, (begin + number).clamp_max(len(self._rows) - 1))
            w_N = (number < count).to(self._x_RD.dtype)
            if self._w_R is not None:
                w_N = w_N * self._w_R.index_select(0, rows)
            fused.add(self._x_RD.index_select(0, rows), self._y_RK.index_select(0, rows), w_N)
        fused.finish()


class StreamedRows:
    """Rows that do not all fit on the device: those of each step are sent there, but for what is kept.

    Args:
        fused: the step.
        on_device: the blocks that are kept there.
        store: this worker's blocks.
        plan, lanes: as of `ResidentRows`.
        link: what they go over.
        capture: how to capture a step.

    """

    def __init__(
        self,
        fused: FusedStep,
        on_device: DeviceRows,
        store: BlockStore,
        plan: EpochPlan,
        lanes: Sequence[int],
        link: Link,
        capture: Capture | None,
    ) -> None:
        self._on_device, self._store, self._lanes, self._link = on_device, store, lanes, link
        self.steps = plan.steps
        changes = fused.changes
        self._begin = Replay(fused.begin, changes, capture)
        self._finish = Replay(fused.finish, changes, capture)
        self._add = [
            Replay(lambda chunk=chunk: fused.add(chunk.x_CD, chunk.y_CK, chunk.w_C), changes, capture)  # type: ignore[misc]  # mypy cannot infer it
            for chunk in link.chunks
        ]
        self._batches: Iterator[list[Rows]] = iter(())

    def plan(self, plan: EpochPlan, first_step: int) -> None:
        """Begin an epoch, or go on with one."""
        self._batches = epoch_batches(
            self._store, plan, self._lanes, self._on_device, first_step, stay_here=True
        )

    def end(self) -> None:
        """Let go of the last blocks."""
        self._batches = iter(())

    def start(self, step: int) -> None:
        """Begin a series of steps: they follow those that were taken."""
        return

    def take(self) -> None:
        """Send the rows of the next step and launch it."""
        self._begin()
        for pieces in in_chunks(next(self._batches), self._link.num_rows):
            self._link.send(pieces, lambda number: self._add[number]())
        self._finish()


def in_chunks(pieces: Sequence[Rows], num_rows: int) -> Iterator[list[Rows]]:
    """Yield pieces in chunks of up to ``num_rows`` rows, cut where they do not fit."""
    chunk: list[Rows] = []
    room = num_rows
    for rows in pieces:
        start, end = 0, len(rows.x_ND)
        while start < end:
            stop = min(end, start + room)
            chunk.append(rows.part(start, stop))
            room -= stop - start
            start = stop
            if room == 0:
                yield chunk
                chunk, room = [], num_rows
    if chunk:
        yield chunk


def keep_all(on_device: DeviceRows, store: BlockStore, order: Sequence[int]) -> dict[int, KeptBlock] | None:
    """Bring blocks to the device, and return where they are; None where one has no room."""

    def keep(index: int) -> KeptBlock | None:
        return on_device.place(index) or on_device.keep(index, store.load(index))

    kept: dict[int, KeptBlock] = {}
    for index, place in zip(order, store.map(keep, order), strict=True):
        if place is None:
            return None
        kept[index] = place
    return kept
