"""`FusedStep`: a step of mini-batch training as operations on fixed tensors, for a GPU.

Nothing in it asks the device for a value, so the host runs ahead of the device and a step can be captured.
The rows, the update rules and the order of what is done are those of `MiniBatches.step`.

Shape suffixes: N rows, D encoded columns, K targets, F = K·D + K numbers of a model: the weights row by row,
then the biases.
"""

from __future__ import annotations

import numpy as np
import torch

from linreg_dist.jobspec import JobSpec
from linreg_dist.solvers.gradient.optim import PenalisedOptimizer
from linreg_dist.solvers.gradient.update_rules import ALPHA, BETA1, BETA2, EPSILON, REMEMBERED
from linreg_dist.training.rows.sweep import Hyperplane, SweptLinear, sweep_slice

MOST_STEPS = 4096
"""Steps that may follow each other before the host has to look."""


class FusedStep:
    """A step's operations: `begin`, `add` for each part of its rows, `finish`.

    Args:
        model, optimizer: what is trained. `load` takes their state, `store` puts it back.
        spec: the job.
        kind: the name of the update rule.
        averages: whether the mean of an epoch's iterates is kept.
        dtype: of the rows.

    Attributes:
        step: the number of the next step since `load`, (1,) int64, on the device.

    """

    def __init__(
        self,
        model: SweptLinear,
        optimizer: PenalisedOptimizer,
        spec: JobSpec,
        kind: str,
        *,
        averages: bool,
        dtype: torch.dtype,
    ) -> None:
        self._model, self._optimizer, self._kind, self._averages = model, optimizer, kind, averages
        self._momentum, self._l2 = float(spec.solver.momentum), float(spec.model.l2)
        self._is_proximal = kind == "sgd" and self._momentum == 0.0
        self._has_intercept, self._dtype = spec.model.fit_intercept, dtype
        self._shape = targets, width = tuple(model.linear.weight.shape)
        self._device = device = model.linear.weight.device
        self._size = targets * width

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, dtype=torch.float64, device=device)

        numbers = self._size + targets
        self._model_F, self._first_F, self._second_F, self._mean_F = (zeros(numbers) for _ in range(4))
        self._taken, self._before, self._rates = zeros(1), zeros(1), zeros(MOST_STEPS)
        self._epoch_sums, self._live = zeros(1 + targets), zeros(1)
        self.step = torch.zeros(1, dtype=torch.int64, device=device)
        self._coef_DK = torch.zeros((width, targets), dtype=dtype, device=device)
        self._intercept_K = torch.zeros(targets, dtype=dtype, device=device)
        self._epsilon_K = None if model.epsilon_K is None else model.epsilon_K.to(dtype)
        self._weight, self._squared_K, self._grad_K = zeros(1), zeros(targets), zeros(targets)
        self._grad_DK = zeros(width, targets)
        l1_K = torch.from_numpy(np.asarray(spec.model.l1 / model.scale.y_scale_K, dtype=np.float64))
        self._l1_F = torch.cat([l1_K.repeat_interleave(width), torch.zeros(targets, dtype=torch.float64)])
        self._has_l1, self._l1_F = bool((l1_K > 0).any()), self._l1_F.to(device)
        self._l2_F = torch.cat([torch.full((self._size,), self._l2), torch.zeros(targets)]).to(zeros(1))
        self._unit_K = torch.from_numpy(model.scale.y_scale_K).to(device) ** 2

    @property
    def changes(self) -> list[torch.Tensor]:
        """The tensors that a step changes and the next one needs."""
        state = [self._model_F, self._first_F, self._second_F, self._mean_F, self._taken, self._before]
        sums = [self._weight, self._squared_K, self._grad_K, self._grad_DK, self._coef_DK, self._intercept_K]
        return [*state, *sums, self._epoch_sums, self._live, self.step]

    def load(self, first: int, number: int, count: int, mean: torch.Tensor) -> None:
        """Begin a series of steps with the state of the model and its optimizer.

        Args:
            first: the first step within its epoch.
            number: the same over all epochs, for the schedule.
            count: the most steps that will follow, up to `MOST_STEPS`.
            mean: of the epoch's iterates so far, (F,).

        """
        parameters = self._optimizer.parameters
        names = REMEMBERED[self._kind]
        known = [name for name in names if name and all(name in each.state for each in parameters)]
        self._model_F.copy_(_flat([each.parameter.detach() for each in parameters]))
        for name, held in zip(names, (self._first_F, self._second_F), strict=True):
            if name in known:
                held.copy_(_flat([each.state[name] for each in parameters]))
            else:
                held.zero_()
        taken = parameters[0].state["step"].item() if "step" in parameters[0].state else float(bool(known))
        self._taken.fill_(taken)
        self._before.fill_(float(first))
        self._mean_F.copy_(mean)
        self._rates[:count].copy_(torch.from_numpy(self._optimizer.rates(number, count)))
        self._epoch_sums.zero_()
        self._live.fill_(1.0)
        self.step.zero_()
        if self._epsilon_K is not None and self._model.epsilon_K is not None:
            self._epsilon_K.copy_(self._model.epsilon_K)

    def store(self, epoch_sums: torch.Tensor, mean: torch.Tensor) -> tuple[int, bool]:
        """Put the state back, and wait for the device.

        Args:
            epoch_sums, mean: see `NativeSteps.run`; the sums are on the CPU.

        Returns:
            How many steps were taken since `load`, and whether the loss of the next one is no longer finite.

        """
        found = torch.cat([self._epoch_sums, self._taken, self._live, self.step.double()]).tolist()
        *sums, taken, live, steps = found
        epoch_sums += torch.tensor(sums, dtype=torch.float64)
        mean.copy_(self._mean_F)
        first, second = REMEMBERED[self._kind]
        at = 0
        for each in self._optimizer.parameters:
            part = slice(at, at + each.parameter.numel())
            at = part.stop
            with torch.no_grad():
                each.parameter.copy_(self._model_F[part].view_as(each.parameter))
            if not taken:
                continue
            if first is not None and (first != "momentum_buffer" or self._momentum > 0.0):
                each.state[first] = self._first_F[part].view_as(each.parameter).clone()
            if second is not None:
                each.state[second] = self._second_F[part].view_as(each.parameter).clone()
                each.state["step"] = torch.tensor(taken, dtype=torch.float32)
        return int(steps), not live

    def begin(self) -> None:
        """Fold the scale into the model, and begin the sums of a step."""
        coef_DK, intercept_K = self._model.scale.to_blocks(*self._parts(self._model_F))
        self._coef_DK.copy_(coef_DK)
        self._intercept_K.copy_(intercept_K)
        for each in (self._weight, self._squared_K, self._grad_K, self._grad_DK):
            each.zero_()

    def add(self, x_ND: torch.Tensor, y_NK: torch.Tensor, w_N: torch.Tensor) -> None:
        """Add some of the step's rows to its sums; a row of no weight does not count."""
        plane = Hyperplane(self._coef_DK, self._intercept_K, self._model.loss, self._epsilon_K)
        _, squared_K, grad_DK, grad_K = sweep_slice(x_ND, y_NK, w_N, plane)
        self._weight.add_(w_N.sum(dtype=torch.float64))
        self._squared_K.add_(squared_K)
        self._grad_DK.add_(grad_DK)
        self._grad_K.add_(grad_K)

    def finish(self) -> None:
        """Update the model by the step's gradient; from a loss that is not finite on, change nothing."""
        weight = self._weight
        divisor = torch.where(weight > 0.0, weight, torch.ones_like(weight))
        squared_K = self._squared_K / self._unit_K
        self._live.mul_((squared_K / divisor).isfinite().all())
        live = self._live > 0.0
        rate = self._rates.index_select(0, self.step)
        grad_KD, grad_K = self._model.scale.gradients(self._grad_DK, self._grad_K)
        bias = grad_K if self._has_intercept else torch.zeros_like(grad_K)
        updated = self._updated(torch.cat([grad_KD.reshape(-1), bias]) / divisor, rate)
        applies = live & (weight > 0.0)
        for held, new in zip((self._model_F, self._first_F, self._second_F), updated, strict=True):
            held.copy_(torch.where(applies, new, held))
        self._taken.add_(applies)
        # Zeros that are made on the device: a number of the host's could not be captured.
        sums = torch.cat([weight, squared_K])
        self._epoch_sums.add_(torch.where(live, sums, torch.zeros_like(sums)))
        self._before.add_(live)
        if self._averages:
            change_F = (self._model_F - self._mean_F) / self._before.clamp_min(1.0)
            self._mean_F.add_(torch.where(live, change_F, torch.zeros_like(change_F)))
        self.step.add_(live)

    def _updated(self, gradient_F: torch.Tensor, rate: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return the model, and the first and second thing its rule remembers, after an update."""
        model, first, second = self._model_F, self._first_F, self._second_F
        count = self._taken + 1.0
        if self._has_l1 and not self._is_proximal:
            gradient_F = gradient_F + self._l1_F * torch.sign(model)
        if self._kind == "adamw":
            model = model * (1.0 - rate * self._l2_F)
        elif self._l2:
            gradient_F = gradient_F + self._l2_F * model
        if self._kind == "sgd":
            change = gradient_F
            if self._momentum:
                change = first = torch.where(count == 1.0, change, self._momentum * first + change)
        elif self._kind == "rmsprop":
            second = ALPHA * second + (1.0 - ALPHA) * gradient_F.square()
            change = gradient_F / (second.sqrt() + EPSILON)
            if self._momentum:
                change = first = self._momentum * first + change
        else:
            first = first + (1.0 - BETA1) * (gradient_F - first)
            second = BETA2 * second + (1.0 - BETA2) * gradient_F.square()
            root = second.sqrt() / (1.0 - torch.pow(BETA2, count)).sqrt() + EPSILON
            change = first / root / (1.0 - torch.pow(BETA1, count))
        model = model - rate * change
        if self._has_l1 and self._is_proximal:
            model = torch.where(
                self._l1_F > 0.0, torch.sign(model) * (model.abs() - rate * self._l1_F).clamp_min(0.0), model
            )
        return model, first, second

    def _parts(self, flat_F: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return flat_F[: self._size].view(self._shape), flat_F[self._size :]


def _flat(tensors: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([tensor.reshape(-1) for tensor in tensors])
