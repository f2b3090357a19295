"""Many steps in one native call, for a worker that trains alone on the CPU: no autograd, no torch module.

The steps are those of `MiniBatches.step`: the same rows, kernel and update rules. Between calls the model and
what its rule remembers are where `SweptLinear` and `PenalisedOptimizer` keep them, so checkpoints are the
same too.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.block import Block
from linreg_dist.data.plan import EpochPlan, merged_parts
from linreg_dist.data.store import BlockStore
from linreg_dist.jobspec import JobSpec
from linreg_dist.kernels import pieces as piece_kernels
from linreg_dist.kernels.sweep import STOPPED, TAKEN
from linreg_dist.kernels.update import ADAM, ADAMW, RMSPROP, SGD, fold_scale, take_empty_step
from linreg_dist.solvers.gradient.optim import PenalisedOptimizer
from linreg_dist.solvers.gradient.update_rules import REMEMBERED
from linreg_dist.training.rows.native import Work, run
from linreg_dist.training.rows.sweep import SweepPool, SweptLinear
from linreg_dist.training.training import Training

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

KINDS = {"sgd": SGD, "adam": ADAM, "adamw": ADAMW, "rmsprop": RMSPROP}

_CALL_S = 0.1  # of one call: ticks, checkpoints and interrupts wait for its end
_MOST_PIECES = 1 << 17  # of one call: 10 MB of lists
_LARGEST = 1 << 62  # products of rows and steps above it do not fit in the kernel's integers


class PlannedRows:
    """The rows of an epoch's steps, as pieces in memory.

    Args:
        store: this worker's blocks.
        plan: of the epoch.
        lanes: this worker's.
        first_step: where the epoch begins or is continued.

    """

    def __init__(self, store: BlockStore, plan: EpochPlan, lanes: range, first_step: int) -> None:
        self._plan, self._lane_numbers = plan, list(lanes)
        order = plan.order_of_use(lanes, first_step)
        self._is_resident = store.holds(order)
        self._open = store.open(order)
        self._place: dict[int, int] = {}
        self._held: dict[int, Block] = {}
        lane_rows: list[list[int]] = []
        group_rows: list[list[int]] = []
        for lane in lanes:
            first, start = len(group_rows), 0
            for index, rows in plan.lanes[lane]:
                self._place[index] = len(group_rows)
                group_rows.append([start, rows, 0, 0])
                start += rows
            lane_rows.append([start, lane * plan.steps // len(plan.lanes), first, len(group_rows)])
        self._lanes = np.array(lane_rows, dtype=np.int64).reshape(-1, 4)
        self._groups = np.array(group_rows, dtype=np.int64).reshape(-1, 4)
        self._blocks = np.zeros((len(group_rows), 7), dtype=np.int64)
        self._parts = np.zeros((0, 2), dtype=np.int64)
        self.dtype = np.dtype(np.float32)
        if self._is_resident:
            for index in order:
                self._hold(index)

    @property
    def fits(self) -> bool:
        """Whether the kernel's integers hold the positions of all steps."""
        return int(self._lanes[:, 0].max(initial=0)) * (self._plan.steps + 1) < _LARGEST

    def pieces(self, first: int, most_steps: int) -> tuple[Ints, Ints, list[int]]:
        """Return pieces, where each step's begin, and the row groups that are used up with them.

        Args:
            first: the first step.
            most_steps: fewer are returned where a block that is not kept is used up.

        """
        most_steps = max(1, min(most_steps, _MOST_PIECES // max(len(self._lane_numbers), 1)))
        end = min(self._plan.steps, first + most_steps)
        used_up: list[int] = []
        if not self._is_resident:
            end, used_up = self._open_until(first, end)
        step_ptr = np.zeros(end - first + 1, dtype=np.int64)
        none = np.empty((0, 6), dtype=np.int64)
        arguments = (self._plan.steps, first, end, self._lanes, self._groups, self._parts, self._blocks)
        count = piece_kernels.plan_pieces(*arguments, none, step_ptr)
        pieces = np.empty((count, 6), dtype=np.int64)
        if count:
            piece_kernels.plan_pieces(*arguments, pieces, step_ptr)
        return pieces, step_ptr, used_up

    def release(self, used_up: list[int]) -> None:
        """Let go of blocks."""
        for index in used_up:
            self._held.pop(index, None)
            self._open.release(index)

    def _open_until(self, first: int, end: int) -> tuple[int, list[int]]:
        """Open what the steps need, up to the one in which the first row group of any lane is used up."""
        for lane in self._lane_numbers:
            for share in self._plan.slices(lane, first):
                end = min(end, max(first + 1, self._plan.last_step_of(lane, share.group) + 1))
        used_up = []
        for step in sorted({first, end - 1}):
            for lane in self._lane_numbers:
                for share in self._plan.slices(lane, step):
                    self._hold(share.group)
                    if share.stop == share.of:
                        used_up.append(share.group)
        return end, used_up

    def _hold(self, index: int) -> None:
        if index in self._held:
            return
        block = self._open.take(index)
        self._held[index] = block
        place = self._place[index]
        x, y, w = block.x_ND, block.y_NK, block.w_N
        self.dtype = x.dtype
        self._blocks[place] = (
            x.ctypes.data,
            x.strides[1],
            y.ctypes.data,
            y.strides[1],
            0 if w is None else w.ctypes.data,
            block.num_train,
            x.itemsize,
        )
        parts = merged_parts(self._plan.part_orders.get(index, (0,)), block.num_train)
        self._groups[place, 2:] = len(self._parts), len(self._parts) + len(parts)
        self._parts = np.concatenate([self._parts, np.array(parts, dtype=np.int64).reshape(-1, 2)])


class NativeSteps:
    """Takes steps on a model and its optimizer.

    Args:
        model, optimizer: what is trained; both are up to date after each call.
        spec: the job.
        kind: of the rule, one of `KINDS`.
        averages: whether the mean of an epoch's iterates is kept.
        pool: threads that share a step.
        checkpoint_every_s: a call takes no longer.

    """

    def __init__(
        self,
        model: SweptLinear,
        optimizer: PenalisedOptimizer,
        spec: JobSpec,
        kind: str,
        *,
        averages: bool,
        pool: SweepPool | None,
    ) -> None:
        self._model, self._optimizer, self._pool = model, optimizer, pool
        self._kind = KINDS[kind]
        self._remembers = REMEMBERED[kind]
        scale = model.scale
        self._scale = scale.x_mean_D, scale.x_scale_D, scale.y_mean_K, scale.y_scale_K
        self._l1_K = np.asarray(spec.model.l1 / scale.y_scale_K, dtype=np.float64)
        is_proximal = kind == "sgd" and spec.solver.momentum == 0.0
        self._rule = (
            self._kind,
            float(spec.solver.momentum),
            float(spec.model.l2),
            int(is_proximal),
            int(spec.model.fit_intercept),
            int(averages),
        )
        self._call_s = min(_CALL_S, spec.run.checkpoint_every_s)
        self._most_steps = 1

    def run(
        self, rows: PlannedRows, first: int, number: int, epoch_sums: torch.Tensor, mean: torch.Tensor
    ) -> tuple[int, bool]:
        """Take steps for about a tenth of a second.

        Args:
            rows: of the epoch.
            first: the first step within the epoch.
            number: the same over all epochs, for the schedule.
            epoch_sums, mean: Σw with Σ w e² per target, and the mean of the iterates; both are added to.

        Returns:
            How many steps were taken, and whether the loss of the next one is no longer finite.

        """
        started = time.perf_counter()
        pieces, step_ptr, used_up = rows.pieces(first, self._most_steps)
        model, optimizer = self._model, self._optimizer
        num_targets, width = model.linear.weight.shape
        work = Work(pieces, step_ptr, width, num_targets, rows.dtype)
        state = self._state(first, epoch_sums, mean)
        epsilon = np.zeros(num_targets) if model.epsilon_K is None else model.epsilon_K.numpy()
        plane = np.zeros((num_targets, width)), np.zeros(num_targets), epsilon
        narrow = tuple(part.astype(rows.dtype) for part in plane)
        fold_scale(state[0], self._scale, plane, narrow)
        empty = int(np.searchsorted(work.unit_ptr, 0, side="right")) - 1  # steps before the first unit
        empty = min(empty, work.num_steps)
        for _ in range(empty):
            take_empty_step(self._rule, state)
        work.control[TAKEN] = empty
        if empty < work.num_steps:
            rates = optimizer.rates(number, work.num_steps)
            executor, num_threads = (self._pool.executor, self._pool.num_threads) if self._pool else (None, 1)
            is_huber = model.epsilon_K is not None
            run(work, plane, narrow, is_huber, self._rule, state, rates, executor, num_threads)
        self._write_back(state, mean)
        rows.release(used_up)
        seconds = time.perf_counter() - started
        if seconds > self._call_s:
            self._most_steps = max(1, self._most_steps // 2)
        elif seconds < self._call_s / 2:
            self._most_steps = max(self._most_steps, min(2 * self._most_steps, 2 * work.num_steps))
        return int(work.control[TAKEN]), bool(work.control[STOPPED])

    def _state(self, first_step: int, epoch_sums: torch.Tensor, mean: torch.Tensor) -> tuple[Any, ...]:
        parameters = self._optimizer.parameters
        first, second = self._remembers
        model = _flat([each.parameter.detach() for each in parameters])
        moments = []
        for name in (first, second):
            known = [each.state[name] for each in parameters if name is not None and name in each.state]
            moments.append(_flat(known) if len(known) == len(parameters) else np.zeros_like(model))
        taken = 0
        if second is not None and parameters[0].state:
            taken = int(parameters[0].state["step"].item())
        elif parameters[0].state:
            taken = 1
        numbers = np.array([taken, first_step], dtype=np.int64)
        sums = epoch_sums.numpy()
        scratch = np.empty_like(model)
        return (model, *moments, scratch, mean.numpy(), numbers, sums, self._scale, self._l1_K)

    def _write_back(self, state: tuple[Any, ...], mean: torch.Tensor) -> None:
        model, first, second, counts = state[0], state[1], state[2], state[5]
        names = self._remembers
        at = 0
        for each in self._optimizer.parameters:
            size, shape = each.parameter.numel(), each.parameter.shape

            def part(values: Floats, at: int = at, size: int = size, shape: Any = shape) -> torch.Tensor:
                return torch.from_numpy(values[at : at + size].copy()).view(shape)

            with torch.no_grad():
                each.parameter.copy_(part(model))
            if counts[0]:
                if names[0] is not None and (names[0] != "momentum_buffer" or self._rule[1] > 0.0):
                    each.state[names[0]] = part(first)
                if names[1] is not None:
                    each.state[names[1]] = part(second)
                    each.state["step"] = torch.tensor(float(counts[0]))
            at += size


class OnCores:
    """`ManySteps` in native calls.

    Args:
        training: this worker's part in the job.
        model, optimizer, kind, averages: see `NativeSteps`.

    """

    def __init__(
        self,
        training: Training,
        model: SweptLinear,
        optimizer: PenalisedOptimizer,
        kind: str,
        *,
        averages: bool,
    ) -> None:
        self._store = training.data.store
        self._lanes = training.job.lanes_of(training.worker.rank, training.worker.world_size)
        spec = training.job.spec
        self._steps = NativeSteps(model, optimizer, spec, kind, averages=averages, pool=model.pool)
        self._rows: PlannedRows | None = None

    def begin(self, plan: EpochPlan, first_step: int) -> bool:
        """Get ready for an epoch."""
        rows = PlannedRows(self._store, plan, self._lanes, first_step)
        self._rows = rows if rows.fits else None
        return rows.fits

    def run(self, first: int, number: int, epoch_sums: torch.Tensor, mean: torch.Tensor) -> tuple[int, bool]:
        """Take steps for about a tenth of a second."""
        if self._rows is None:
            raise RuntimeError("run must follow begin")
        return self._steps.run(self._rows, first, number, epoch_sums, mean)

    def end(self) -> None:
        """Let go of the rows of the epoch."""
        self._rows = None


def _flat(tensors: list[torch.Tensor]) -> Floats:
    flat: Floats = torch.cat([tensor.reshape(-1) for tensor in tensors]).numpy()
    return flat
