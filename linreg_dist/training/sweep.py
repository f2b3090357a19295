"""Loss and gradient of a linear model in one sweep over the rows, as one autograd node.

``nn.Linear`` followed by a loss reads the rows twice from memory and keeps an activation for each; a step of
a linear model costs little more than reading its rows, so here each cache-sized slice is read once for the
prediction and, still in cache, for the gradient. Sums over a slice run in the type of the rows, slices add up
in float64.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from linreg_dist.training.scaling import AffineScale

Loss = Literal["squared", "huber"]

SLICE_ELEMENTS = 1 << 18  # 1 MiB of float32: a slice stays in a core's L2 between its two uses
_INLINE_ELEMENTS = 1 << 19  # below this a step costs less than handing it to other threads


@dataclass(frozen=True)
class Rows:
    """Some rows of a block: ``x_ND`` with strides (1, ·), ``y_NK``, and weights or None."""

    x_ND: torch.Tensor
    y_NK: torch.Tensor
    w_N: torch.Tensor | None


@dataclass
class SweepSums:
    """Sums over rows, in block units and float64: weight, loss, squared error, and the gradient's two
    parts.
    """

    weight: float
    loss_K: torch.Tensor
    squared_K: torch.Tensor
    grad_DK: torch.Tensor
    grad_K: torch.Tensor

    def add(self, other: SweepSums) -> None:
        """Add another part's sums to these."""
        self.weight += other.weight
        self.loss_K += other.loss_K
        self.squared_K += other.squared_K
        self.grad_DK += other.grad_DK
        self.grad_K += other.grad_K


def sweep_rows(
    rows: Rows, coef_DK: torch.Tensor, intercept_K: torch.Tensor, loss: Loss, epsilon_K: torch.Tensor | None
) -> SweepSums:
    """Sum loss and gradient over rows.

    Squared: Σ w r²/2. Huber: Σ w ρ(r), ρ(r) = r²/2 where |r| ≤ ε and ε(|r| - ε/2) beyond (Huber 1964, eq.
    2.2), whose derivative is r clamped to ±ε.

    Args:
        rows: any number of rows, also none.
        coef_DK, intercept_K: float64, in block units.
        loss: which loss.
        epsilon_K: Huber's ε per target in block units; None for squared.

    """
    x, y = rows.x_ND, rows.y_NK
    width, targets = coef_DK.shape
    grad_DK = torch.zeros(width, targets, dtype=torch.float64, device=x.device)
    grad_K = torch.zeros(targets, dtype=torch.float64, device=x.device)
    twice_loss_K = torch.zeros_like(grad_K)
    squared_K = torch.zeros_like(grad_K)
    coef, intercept = coef_DK.to(x.dtype), intercept_K.to(x.dtype)
    epsilon = None if epsilon_K is None else epsilon_K.to(x.dtype)
    step = max(64, SLICE_ELEMENTS // max(width, 1)) if x.device.type == "cpu" else max(1, x.shape[0])
    for start in range(0, x.shape[0], step):
        x_slice = x[start : start + step]
        residual = torch.addmm(intercept, x_slice, coef).sub_(y[start : start + step])
        w = None if rows.w_N is None else rows.w_N[start : start + step, None]
        weighted = residual if w is None else residual * w
        squared = (weighted * residual).sum(0).double()
        squared_K += squared
        slope = weighted
        if epsilon is None:
            twice_loss_K += squared
        else:
            slope = residual.clamp(-epsilon, epsilon)
            # 2ρ(r) = 2 r ψ - ψ² with ψ the slope, for r inside and outside the band alike
            twice_loss = (2.0 * residual - slope) * slope
            twice_loss_K += (twice_loss if w is None else twice_loss * w).sum(0).double()
            slope = slope if w is None else slope * w
        grad_DK += (x_slice.t() @ slope).double()
        grad_K += slope.sum(0).double()
    weight = float(x.shape[0]) if rows.w_N is None else float(rows.w_N.sum(dtype=torch.float64))
    return SweepSums(weight, twice_loss_K / 2.0, squared_K, grad_DK, grad_K)


def sweep(
    pieces: Sequence[Rows],
    coef_DK: torch.Tensor,
    intercept_K: torch.Tensor,
    loss: Loss,
    epsilon_K: torch.Tensor | None,
    pool: ThreadPoolExecutor | None,
) -> SweepSums:
    """Sum `sweep_rows` over pieces, on the pool's threads where that pays; always added in the order
    given.
    """
    width, targets = coef_DK.shape
    zeros_K = torch.zeros(targets, dtype=torch.float64, device=coef_DK.device)
    zeros_DK = torch.zeros(width, targets, dtype=torch.float64, device=coef_DK.device)
    total = SweepSums(0.0, zeros_K.clone(), zeros_K.clone(), zeros_DK, zeros_K)

    def one(rows: Rows) -> SweepSums:
        return sweep_rows(rows, coef_DK, intercept_K, loss, epsilon_K)

    elements = sum(rows.x_ND.shape[0] for rows in pieces) * width
    parts = (
        map(one, pieces)
        if pool is None or elements < _INLINE_ELEMENTS or len(pieces) < 2
        else pool.map(one, pieces)
    )
    for part in parts:
        total.add(part)
    return total


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
        sums = sweep(pieces, coef_DK, intercept_K, model.loss, model.epsilon_K, model.pool)
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
        huber_epsilon: Huber's ε in units of the (scaled) target.
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
        pool: ThreadPoolExecutor | None = None,
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
        self.register_buffer("epsilon_K", huber_epsilon * y_scale if loss == "huber" else None)
        self.epsilon_K: torch.Tensor | None

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
