"""The objective over all rows of all workers, with its gradient and Huber's scale, for full-batch optimisers.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.errors import RunFailedError
from linreg_dist.solvers.huber_scale import huber_scale
from linreg_dist.training.rows.resident import ResidentSweep
from linreg_dist.training.rows.scaling import AffineScale
from linreg_dist.training.rows.sweep import Hyperplane, Rows, sweep
from linreg_dist.training.training import Training

SCALE_RTOL = 1e-6
"""A residuals' scale that changes by less stays."""


@dataclass(frozen=True)
class _Point:
    """The objective at some weights, its gradient and its largest element, and the mean squared error."""

    objective: float
    grad_KD: torch.Tensor
    grad_K: torch.Tensor | None
    largest: float
    train_mse: float


class Objective:
    """The objective and its gradient on the unit scale, from one pass over the rows of all workers.

    The points of a line search are remembered: whoever asks again for one of them, as an optimiser that is
    stepped iteration by iteration does, costs no pass.

    Attributes:
        weight, bias: (K, D) and (K,) on the unit scale; they start at zero.
        scale_K: the residuals' scale that Huber's ε is measured in, (K,); zero before it is measured.
        evaluations: passes over the rows that were made for the objective.
        value, gradient, train_mse: the objective where it was evaluated last, its gradient's largest element,
            and the mean squared error there.

    """

    def __init__(self, training: Training, scale: AffineScale) -> None:
        self._training, self._scale = training, scale
        self._job = training.job
        self._shape = (training.num_features, training.num_targets)
        width, targets = self._shape
        self.weight = torch.zeros((targets, width), dtype=torch.float64, requires_grad=True)
        self.bias = torch.zeros(
            targets, dtype=torch.float64, requires_grad=training.job.spec.model.fit_intercept
        )
        self.scale_K: npt.NDArray[np.float64] = np.zeros(targets)
        self.evaluations = 0
        self.value = self.gradient = float("inf")
        self.train_mse = float("nan")
        self._known: dict[bytes, _Point] = {}
        self._resident: ResidentSweep | None = None

    @property
    def parameters(self) -> list[torch.Tensor]:
        """`weight` and `bias`, for an optimiser."""
        return [self.weight, self.bias]

    def update_scale(self, std_K: npt.NDArray[np.float64]) -> float:
        """Measure the residuals' scale at the present weights; return by how much it changed, relatively."""
        plane, near = self._plane(), self.scale_K
        found = huber_scale(self._training, plane.coef_DK, plane.intercept_K, std_K, near_K=near)
        change = float(np.max(np.abs(found / self.scale_K - 1.0))) if self.scale_K.all() else float("inf")
        if change > SCALE_RTOL:
            self.set_scale(found)
        return change

    def set_scale(self, scale_K: npt.NDArray[np.float64]) -> None:
        """Measure Huber's ε in these units from now on."""
        self.scale_K = scale_K
        self._known.clear()

    def forget_all(self) -> None:
        """Forget every point that was evaluated, also the present one."""
        self._known.clear()

    def forget(self) -> None:
        """Forget the points that were evaluated, but for the present one."""
        key = self._key()
        self._known = {key: self._known[key]} if key in self._known else {}

    def evaluate(self) -> float:
        """Return the objective and leave its gradient in the parameters: what torch's optimisers call.

        Raises:
            RunFailedError: it is not finite.

        """
        key = self._key()
        if key not in self._known:
            self._known[key] = self._measure()
        point = self._known[key]
        # Copies, because an optimiser may work in place.
        self.weight.grad = point.grad_KD.clone()
        self.bias.grad = None if point.grad_K is None else point.grad_K.clone()
        self.value, self.gradient, self.train_mse = point.objective, point.largest, point.train_mse
        return point.objective

    def _key(self) -> bytes:
        return self.weight.detach().numpy().tobytes() + self.bias.detach().numpy().tobytes()

    def _measure(self) -> _Point:
        width, targets = self._shape
        plane = self._plane()

        found = self._sums(plane)
        sum_w = found[0]
        loss_K, squared_K, grad_K = found[1 : 1 + 3 * targets].reshape(3, targets)
        grad_DK = found[1 + 3 * targets :].reshape(targets, width).t()
        grad_KD, grad_bias = self._scale.gradients(grad_DK, grad_K)
        l2 = self._job.spec.model.l2
        weight = self.weight.detach()
        unit_K = torch.from_numpy(self._scale.y_scale_K) ** 2
        objective = float((loss_K / unit_K).sum() / sum_w + l2 / 2 * weight.square().sum())
        if not np.isfinite(objective):
            raise RunFailedError(
                "the objective is no longer finite; check the features for values near the largest float32 "
                "(linreg-dist inspect), or express them in larger units"
            )
        grad_KD = (grad_KD / sum_w + l2 * weight).contiguous()  # torch flattens it by a view
        largest, free = float(grad_KD.abs().max()), self.bias.requires_grad
        if free:
            largest = max(largest, float((grad_bias / sum_w).abs().max()))
        train_mse = float((squared_K / sum_w).mean())
        self.evaluations += 1
        return _Point(objective, grad_KD, grad_bias / sum_w if free else None, largest, train_mse)

    def _sums(self, plane: Hyperplane) -> torch.Tensor:
        """Return Σw, Σ loss (K), Σ w r² (K), Σ w ψ (K) and Σ w x ψ (K, D) over all rows, flat."""
        training = self._training
        if self._resident is None:
            self._resident = ResidentSweep.of(training)
        if self._resident is not None:  # the same bits, without handing over each row group
            return torch.from_numpy(training.sum_of_lanes(self._resident.by_lane(plane)))

        def sums(rows: Rows) -> torch.Tensor:
            found = sweep([rows], plane, None)
            weight = torch.tensor([found.weight], dtype=torch.float64, device=rows.x_ND.device)
            parts = [weight, found.loss_K, found.squared_K, found.grad_K, found.grad_DK.t().reshape(-1)]
            return torch.cat(parts)

        width, targets = self._shape
        return training.sum_over(sums, 1 + targets * (width + 3))

    def in_blocks(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return coefficients (D, K) and intercepts (K) for rows as blocks hold them."""
        return self._scale.to_blocks(self.weight.detach(), self.bias.detach())

    def _plane(self) -> Hyperplane:
        model, device = self._job.spec.model, self._training.worker.device
        coef_DK, intercept_K = self.in_blocks()
        epsilon = None
        if model.loss == "huber":
            epsilon = torch.from_numpy(model.huber_epsilon * self.scale_K).to(device)
        return Hyperplane(coef_DK.to(device), intercept_K.to(device), model.loss, epsilon)
