"""Loss and gradient of a linear model in one sweep over the rows, as one autograd node.

``nn.Linear`` followed by a loss reads the rows twice from memory and keeps an activation for each; a step of
a linear model costs little more than reading its rows, so here each cache-sized slice is read once for the
prediction and, still in cache, for the gradient. A large job does so in native kernels
(`linreg_dist.kernels`), a small one by torch's operations on slices that are copied to float64 first: a
product's last bits depend on how memory is aligned, and a fresh copy is always aligned alike. On a GPU the
slices stay as they are.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from linreg_dist.training.rows import native
from linreg_dist.training.rows.scaling import AffineScale

Loss = Literal["squared", "huber"]

SLICE_ELEMENTS = 1 << 20  # 4 MiB of float32: between its two uses a slice stays in a cache, if a shared one
_SLICE_ROWS = 1 << 16  # a float32 dot product loses about half a digit for every tenfold in rows
_INLINE_ELEMENTS = 1 << 19  # below this a step costs less than handing it to other threads
_SMALL_ELEMENTS = 1 << 14  # below this a piece costs more to handle than to copy
_BUNDLE_ELEMENTS = 1 << 18  # small pieces copied together, few enough that threads can still share a step


@dataclass(frozen=True)
class SweepPool:
    """Threads that share a sweep, and how many there are."""

    executor: ThreadPoolExecutor
    num_threads: int


@dataclass(frozen=True)
class Rows:
    """Some rows of a block: ``x_ND`` with strides (1, ·), ``y_NK``, and weights or None.

    ``native`` says that they are summed by native kernels: on the CPU, in a job that is large enough.
    """

    x_ND: torch.Tensor
    y_NK: torch.Tensor
    w_N: torch.Tensor | None
    native: bool = False

    def part(self, start: int, stop: int) -> Rows:
        """Return rows [start, stop)."""
        w_N = None if self.w_N is None else self.w_N[start:stop]
        return Rows(self.x_ND[start:stop], self.y_NK[start:stop], w_N, self.native)

    def first(self, num_rows: int) -> Rows:
        """Return the first rows."""
        return self.part(0, num_rows)

    @property
    def weight(self) -> float:
        """Σw."""
        return float(self.x_ND.shape[0]) if self.w_N is None else float(self.w_N.sum(dtype=torch.float64))


@dataclass
class SweepSums:
    """Sums over rows, in block units and float64: weight, loss, squared error, the gradient's two parts."""

    weight: float
    loss_K: torch.Tensor
    squared_K: torch.Tensor
    grad_DK: torch.Tensor
    grad_K: torch.Tensor


@dataclass(frozen=True)
class Hyperplane:
    """A model in block units and in the type of the blocks, with the loss it is measured by.

    Attributes:
        coef_DK, intercept_K: predict as x·coef + intercept.
        loss: squared: Σ w r²/2. huber: Σ w ρ(r), ρ(r) = r²/2 where |r| ≤ ε and ε(|r| - ε/2) beyond (Huber
            1964, eq. 2.2), whose derivative is r clamped to ±ε.
        epsilon_K: Huber's ε per target; None for squared.
    """

    coef_DK: torch.Tensor
    intercept_K: torch.Tensor
    loss: Loss
    epsilon_K: torch.Tensor | None = None

    def to(self, dtype: torch.dtype) -> Hyperplane:
        """Return the same in another type."""
        epsilon = None if self.epsilon_K is None else self.epsilon_K.to(dtype)
        return Hyperplane(self.coef_DK.to(dtype), self.intercept_K.to(dtype), self.loss, epsilon)


# Sums over one slice in the type of its rows: loss (K,), squared error (K,), Σ w x ψ (D, K), Σ w ψ (K,).
_SliceSums = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]


def sweep_slices(rows: Rows, plane: Hyperplane) -> list[_SliceSums]:
    """Sum loss and gradient over each cache-sized slice of rows.

    Few operations and large slices, because a step has a dozen pieces, each operation costs some microseconds
    by itself, and threads that are done with one wait for each other to hold the interpreter.
    """
    x, y, w = rows.x_ND, rows.y_NK, rows.w_N
    num_rows, width = x.shape
    step = max(1, num_rows)
    if x.device.type == "cpu":
        step = max(64, min(_SLICE_ROWS, SLICE_ELEMENTS // max(width, 1)))
    if num_rows <= step:
        return [sweep_slice(x, y, w, plane)] if num_rows else []
    step = -(-num_rows // -(-num_rows // step))  # slices of one size, and no small one left over
    return [
        sweep_slice(
            x[start : start + step],
            y[start : start + step],
            None if w is None else w[start : start + step],
            plane,
        )
        for start in range(0, num_rows, step)
    ]


def sweep_slice(x: torch.Tensor, y: torch.Tensor, w: torch.Tensor | None, plane: Hyperplane) -> _SliceSums:
    """Sum loss and gradient over a slice, in the type of its rows, without asking the device for a value."""
    residual = torch.addmm(y, x, plane.coef_DK, beta=-1).add_(plane.intercept_K)
    weighted = residual if w is None else residual * w[:, None]
    squared = _column_dots(weighted, residual)
    if plane.epsilon_K is None:
        return squared / 2, squared, x.t() @ weighted, weighted.sum(0)
    slope = residual.clamp(-plane.epsilon_K, plane.epsilon_K)
    # ρ(r) = r ψ - ψ²/2 with ψ the slope, for r inside and outside the band alike
    excess = residual - slope / 2
    slope = slope if w is None else slope * w[:, None]
    return _column_dots(slope, excess), squared, x.t() @ slope, slope.sum(0)


def _column_dots(a_NK: torch.Tensor, b_NK: torch.Tensor) -> torch.Tensor:
    """Return Σ a·b per column."""
    # torch.dot would save a temporary, but sums float32 without pairing.
    return (a_NK * b_NK).sum(0)


def sweep(pieces: Sequence[Rows], plane: Hyperplane, pool: SweepPool | None) -> SweepSums:
    """Sum loss and gradient over pieces, on the pool's threads where that pays.

    Args:
        pieces: any number, also none; a piece may have no rows.
        plane: float64.
        pool: threads, or None to stay on this one. The slices are added in the order given, so the bits are
            the same.
    """
    if not pieces:
        zeros_K = torch.zeros(plane.coef_DK.shape[1], dtype=torch.float64, device=plane.coef_DK.device)
        return SweepSums(0.0, zeros_K, zeros_K, torch.zeros_like(plane.coef_DK), zeros_K)
    width, targets = plane.coef_DK.shape
    if pieces[0].native:
        executor, num_threads = (pool.executor, pool.num_threads) if pool else (None, 1)
        sums = native.sweep_sums(pieces, plane, executor, num_threads)
        loss_K, squared_K, grad_K = sums[1 : 1 + 3 * targets].reshape(3, targets)
        grad_KD = sums[1 + 3 * targets :].reshape(targets, width)
        return SweepSums(float(sums[0]), loss_K, squared_K, grad_KD.t(), grad_K)
    if pieces[0].x_ND.device.type != "cpu":  # a launch costs more than a copy within the device
        swept_there = sweep_slices(_joined(pieces), plane.to(pieces[0].x_ND.dtype))
        return _summed(pieces, swept_there) if swept_there else sweep([], plane, pool)
    num_rows = sum(rows.x_ND.shape[0] for rows in pieces)
    if pool is None or num_rows * width < _INLINE_ELEMENTS:
        swept = [_sweep_bundle(bundle, plane) for bundle in bundle_small(pieces)]
    else:
        # One task a thread: handing over a dozen small pieces one by one would cost more than sweeping them.
        shares = _shares(bundle_small(pieces), -(-num_rows // pool.num_threads))
        done = pool.executor.map(lambda share: [_sweep_bundle(bundle, plane) for bundle in share], shares)
        swept = [slices for share in done for slices in share]
    by_slice = [sums for slices in swept for sums in slices]
    return _summed(pieces, by_slice) if by_slice else sweep([], plane, pool)


def _summed(pieces: Sequence[Rows], by_slice: Sequence[_SliceSums]) -> SweepSums:
    """Return the sums over all slices of pieces that have rows."""
    # One sum over the slices of each part: adding slice by slice would cost a dozen operations a slice.
    loss_K, squared_K, grad_DK, grad_K = (
        torch.stack(parts).sum(0, dtype=torch.float64) for parts in zip(*by_slice, strict=True)
    )
    return SweepSums(sum(rows.weight for rows in pieces), loss_K, squared_K, grad_DK, grad_K)


def bundle_small(pieces: Sequence[Rows]) -> list[list[Rows]]:
    """Put neighbouring small pieces together, to be copied into one; a larger piece stays by itself.

    A piece has a fixed cost however few rows it has, so a step of many, as with small row groups or small
    batches, is faster for being copied first (`benchmarks/test_parts.py`). What is put together depends on
    the pieces alone, not on the threads that sweep them.
    """
    bundles: list[list[Rows]] = []
    room = -1  # beside a large piece there is none, for an empty one neither
    for rows in pieces:
        size = rows.x_ND.numel()
        is_small = size < _SMALL_ELEMENTS
        if is_small and size <= room:
            bundles[-1].append(rows)
            room -= size
        else:
            bundles.append([rows])
            room = _BUNDLE_ELEMENTS - size if is_small else -1
    return bundles


def _sweep_bundle(bundle: Sequence[Rows], plane: Hyperplane) -> list[_SliceSums]:
    """Sweep a large piece slice by slice, or small ones together, in float64.

    A worker bundles the pieces of its own lanes. In float64 the sums do not depend on which those are, so
    the answer stays that of any other number of workers to the last few bits.
    """
    first = bundle[0]
    if first.x_ND.numel() >= _SMALL_ELEMENTS:
        return [sweep_slice(wide.x_ND, wide.y_NK, wide.w_N, plane) for wide in wide_slices(first)]
    together = _joined(bundle)
    w_N = None if together.w_N is None else together.w_N.double()
    wide = Rows(together.x_ND.t().double().t(), together.y_NK.t().double().t(), w_N)
    return sweep_slices(wide, plane)


def _joined(pieces: Sequence[Rows]) -> Rows:
    """Return the rows of all pieces in one, each column's next to each other, as in a block."""
    if len(pieces) == 1:
        return pieces[0]
    weights = [rows.w_N for rows in pieces if rows.w_N is not None]
    return Rows(
        torch.cat([rows.x_ND.t() for rows in pieces], dim=1).t(),
        torch.cat([rows.y_NK.t() for rows in pieces], dim=1).t(),
        torch.cat(weights) if weights else None,
    )


def wide_slices(rows: Rows) -> Iterator[Rows]:
    """Yield rows in cache-sized slices, copied to float64."""
    num_rows, width = rows.x_ND.shape
    step = max(64, min(_SLICE_ROWS, SLICE_ELEMENTS // max(width, 1)))
    for start in range(0, num_rows, step):
        part = rows.part(start, start + step)
        w_N = None if part.w_N is None else _wide(part.w_N)
        yield Rows(_wide(part.x_ND.t()).t(), _wide(part.y_NK.t()).t(), w_N)


def _wide(values: torch.Tensor) -> torch.Tensor:
    copy = torch.empty(values.shape, dtype=torch.float64, device=values.device)
    return copy.copy_(values)


def _shares(bundles: Sequence[list[Rows]], num_rows: int) -> list[list[list[Rows]]]:
    """Deal bundles into consecutive shares of about ``num_rows`` rows."""
    shares: list[list[list[Rows]]] = [[]]
    filled = 0
    for bundle in bundles:
        if filled >= num_rows:
            shares.append([])
            filled = 0
        shares[-1].append(bundle)
        filled += sum(rows.x_ND.shape[0] for rows in bundle)
    return shares


class _SweepFunction(torch.autograd.Function):
    """The sweep as an autograd node: the forward pass computes the gradient too, the backward pass hands it
    out.

    ``carried`` is a parameter held at zero whose gradient is Σw and the K sums of squared errors: DDP then
    reduces these in the same message as the gradient, and dividing by the reduced Σw makes the step exact for
    workers with unequal row counts. The function's value is Σ loss + carried · (Σw, Σ w r²).
    """

    @staticmethod
    def forward(
        ctx: Any,
        weight_KD: torch.Tensor,
        bias_K: torch.Tensor,
        carried: torch.Tensor,
        model: SweptLinear,
        pieces: Sequence[Rows],
    ) -> torch.Tensor:
        scale = model.scale
        coef_DK, intercept_K = scale.to_blocks(weight_KD.detach(), bias_K.detach())
        plane = Hyperplane(coef_DK, intercept_K, model.loss, model.epsilon_K)
        sums = sweep(pieces, plane, model.pool)
        grad_KD, grad_K = scale.gradients(sums.grad_DK, sums.grad_K)
        unit_K = torch.from_numpy(scale.y_scale_K).to(sums.loss_K.device) ** 2
        weight = torch.tensor([sums.weight], dtype=torch.float64, device=sums.loss_K.device)
        carried_grad = torch.cat([weight, sums.squared_K / unit_K])
        ctx.save_for_backward(grad_KD, grad_K, carried_grad)
        return (sums.loss_K / unit_K).sum() + carried.detach() @ carried_grad

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        grad_KD, grad_K, carried_grad = ctx.saved_tensors
        return upstream * grad_KD, upstream * grad_K, upstream * carried_grad, None, None


class SweptLinear(nn.Module):
    """An ``nn.Linear`` on unit-scale features whose forward pass is the loss summed over pieces of blocks.

    Its parameters are float64: they are few, and 10⁸ rows then lose no digits in the updates.

    Args:
        num_features, num_targets: D and K.
        scale: the map between block units and unit scale.
        loss: squared or huber.
        huber_epsilon: Huber's ε, in units of the target's scale until `set_huber_scale` says better.
        fit_intercept: False freezes the bias at zero.
        pool: threads that share a sweep.

    """

    def __init__(
        self,
        num_features: int,
        num_targets: int,
        scale: AffineScale,
        *,
        loss: Loss = "squared",
        huber_epsilon: float = 1.35,
        fit_intercept: bool = True,
        pool: SweepPool | None = None,
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(num_features, num_targets, dtype=torch.float64)
        nn.init.zeros_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)
        self.carried = nn.Parameter(torch.zeros(1 + num_targets, dtype=torch.float64))
        self.scale = scale
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.pool = pool
        y_scale = torch.from_numpy(scale.y_scale_K)
        self._huber_epsilon = huber_epsilon
        self.register_buffer("epsilon_K", huber_epsilon * y_scale if loss == "huber" else None)
        self.epsilon_K: torch.Tensor | None

    def set_huber_scale(self, scale_K: torch.Tensor) -> None:
        """Let Huber's loss turn linear at ``huber_epsilon`` times this scale, (K,), in the target's units."""
        if self.epsilon_K is not None:
            self.epsilon_K.copy_(self._huber_epsilon * scale_K)

    def forward(self, pieces: Sequence[Rows]) -> torch.Tensor:
        """Return the loss summed over all rows of ``pieces``, in units of the scaled target."""
        loss: torch.Tensor = _SweepFunction.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.linear.weight, self.linear.bias, self.carried, self, pieces
        )
        return loss

    def normalise_gradients(self) -> tuple[float, list[float]]:
        """Turn (reduced) gradient sums into the gradient of the weighted mean loss.

        Returns:
            Σw, or its mean over workers after DDP's averaging, and the mean squared error per target on the
            unit scale. Both are 0, and the gradients too, when there was no row.

        """
        carried, weight, bias = self.carried.grad, self.linear.weight.grad, self.linear.bias.grad
        if carried is None or weight is None or bias is None:
            raise RuntimeError("normalise_gradients must follow backward()")
        total, *squared = carried.tolist()
        divisor = total if total > 0.0 else 1.0
        weight /= divisor
        bias /= divisor
        if not self.fit_intercept:
            bias.zero_()
        return total, [value / divisor for value in squared]
