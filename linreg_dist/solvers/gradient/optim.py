"""Optimizers, step sizes, schedules and penalties: torch's rules, set up for the unit-scale problem.

Objective (the contract's): 1/(2 Σw) Σ w (y - xᵀβ - b)² + l1 ‖β‖₁ + (l2/2) ‖β‖₂², the intercept free. On the
unit scale u = y/q the squared part is divided by q², so l2 stays as it is and l1 becomes l1/q for each
target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.jobspec import ModelSpec, SolverSpec
from linreg_dist.solvers.gradient.curvature import Curvature
from linreg_dist.solvers.gradient.update_rules import Stepped, UpdateRule, restore_states, state_tensors
from linreg_dist.training.rows.sweep import SweptLinear


def sgd_learning_rate(curvature: Curvature, batch_rows: float, l2: float, momentum: float) -> float:
    """Return half the largest stable step of mini-batch SGD for least squares.

    Jain, Kakade, Kidambi, Netrapalli & Sidford (JMLR 18(223), 2018), theorem 1: γ_max = 2b / (R² + (b -
    1)‖H‖₂) for batches of b rows. The penalty's curvature adds to ‖H‖; heavy-ball momentum μ multiplies the
    effective step by 1/(1 - μ).
    """
    b = max(batch_rows, 1.0)
    return (1.0 - momentum) * b / (curvature.row_bound + (b - 1.0) * curvature.largest_eigenvalue + b * l2)


def adaptive_learning_rate(total_steps: int) -> float:
    """Return the step of Adam and its kin: each moves a weight by about its step, whatever the gradient's
    size.

    On the unit scale weights are of order 1, so all the steps together should be able to travel about 10.
    """
    return min(0.1, max(0.003, 10.0 / max(total_steps, 1)))


def scheduled(base: float, schedule: str, step: int, total_steps: int) -> float:
    """Return the step size at ``step``: constant, base/(step+1)^0.25 (scikit-learn's invscaling), or half
    a cosine to 0.
    """
    if schedule == "inverse_scaling":
        return float(base / (step + 1) ** 0.25)
    if schedule == "cosine":
        return base * 0.5 * (1.0 + math.cos(math.pi * step / max(total_steps, 1)))
    return base


class PenalisedOptimizer:
    """One of torch's update rules with the job's penalties and schedule.

    l2 is torch's ``weight_decay`` on the weights alone: for SGD, Adam and RMSprop that is the gradient of
    (l2/2)‖β‖²; AdamW decays the weights instead of the gradient (Loshchilov & Hutter 2019, algorithm 2), so
    it does not minimise the objective above. l1 is a proximal step (soft threshold) after plain SGD's step,
    which gives exact zeros; the others get its subgradient.

    Args:
        model: its ``linear`` is trained.
        solver, spec: the job's sections.
        l2, l1_K: penalties on the scale that ``linear`` lives on.
        rule: how a gradient changes a parameter.
        is_proximal: whether l1 is a proximal step.
        learning_rate: the base step.
        total_steps: over all epochs, for the schedule.

    Attributes:
        parameters: weight and bias, with what the rule remembers of them.

    """

    def __init__(
        self,
        model: SweptLinear,
        solver: SolverSpec,
        spec: ModelSpec,
        l1_K: torch.Tensor,
        *,
        rule: UpdateRule,
        is_proximal: bool,
        learning_rate: float,
        total_steps: int,
    ) -> None:
        self._weight = model.linear.weight
        self._l1_K1 = l1_K[:, None].to(self._weight.device)
        self._has_l1 = bool((l1_K > 0).any())
        self._proximal = is_proximal
        self._base = learning_rate
        self._schedule = solver.schedule
        self._total_steps = total_steps
        self.parameters = [Stepped(model.linear.weight, spec.l2), Stepped(model.linear.bias, 0.0)]
        self._rule = rule

    def step(self, number: int) -> None:
        """Take optimizer step ``number`` (counted from 0 over all epochs)."""
        rate = scheduled(self._base, self._schedule, number, self._total_steps)
        with torch.no_grad():
            if self._has_l1 and not self._proximal and self._weight.grad is not None:
                self._weight.grad += self._l1_K1 * torch.sign(self._weight)
            for stepped in self.parameters:
                if stepped.parameter.grad is not None:
                    self._rule(stepped, stepped.parameter.grad, rate)
            if self._has_l1 and self._proximal:
                threshold = rate * self._l1_K1
                self._weight.copy_(torch.sign(self._weight) * (self._weight.abs() - threshold).clamp_min(0.0))

    def rates(self, first: int, count: int) -> npt.NDArray[np.float64]:
        """Return the step sizes of steps from ``first`` on, (count,)."""
        if self._schedule == "constant":
            return np.full(count, self._base)
        steps = range(first, first + count)
        return np.array([scheduled(self._base, self._schedule, step, self._total_steps) for step in steps])

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return the state for a checkpoint: named tensors, none before the first step."""
        return state_tensors(self.parameters)

    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Put back the state that `tensors` took from an optimizer of the same kind; other names are left."""
        restore_states(self.parameters, tensors)
