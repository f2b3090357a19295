"""`Sgd`, `Adam`, `AdamW`, `RmsProp`: the gradient solvers as the rest of the program sees them."""

from __future__ import annotations

import importlib
import threading
from abc import abstractmethod
from typing import TYPE_CHECKING

from linreg_dist.solvers.base import Solver

if TYPE_CHECKING:
    from linreg_dist.jobspec import SolverSpec
    from linreg_dist.solvers.gradient.update_rules import UpdateRule
    from linreg_dist.training.fit import Fit
    from linreg_dist.training.job import TrainJob
    from linreg_dist.training.training import Training


class GradientSolver(Solver):
    """Steps on mini-batches by an update rule."""

    shuffles = True
    trains_modules = True

    def load(self, job: TrainJob) -> None:
        """Import torch, its compiler where DistributedDataParallel will, and the native steps.

        They take half a second to two seconds each. This process imports the last while it reads.
        """
        from linreg_dist.training.prepare import is_native

        importlib.import_module("torch")
        if job.spec.scaling.max_workers > 1:
            importlib.import_module("torch._dynamo")
        elif is_native(job, job.columns.known_width):
            name = "linreg_dist.solvers.gradient.native"
            threading.Thread(target=importlib.import_module, args=(name,), daemon=True).start()

    def fit(self, training: Training) -> Fit:
        """Train by steps on mini-batches."""
        if training.job.spec.model.module is not None:
            from linreg_dist.solvers.module.descent import fit_module

            return fit_module(training, self.name)
        from linreg_dist.solvers.gradient.descent import fit_by_steps

        return fit_by_steps(training, self)

    @abstractmethod
    def rule(self, spec: SolverSpec) -> UpdateRule:
        """Return how a gradient changes a parameter."""

    def is_proximal(self, spec: SolverSpec) -> bool:
        """Return whether l1 is a proximal step, which gives exact zeros; else its subgradient is added."""
        return False

    @property
    def is_curvature_bound(self) -> bool:
        """Whether the step size that auto chooses depends on the curvature, and not on the steps alone."""
        return False

    def averages(self, spec: SolverSpec) -> bool:
        """Return whether the result is the mean of the last epoch's iterates and not the last one."""
        return False


class Sgd(GradientSolver):
    """Stochastic gradient descent."""

    name = "sgd"
    has_momentum = True

    def rule(self, spec: SolverSpec) -> UpdateRule:
        """Return the rule of `torch.optim.SGD`."""
        from linreg_dist.solvers.gradient.update_rules import sgd_rule

        return sgd_rule(spec.momentum)

    def is_proximal(self, spec: SolverSpec) -> bool:
        """Return whether there is no momentum, which would carry a weight past zero."""
        return spec.momentum == 0.0

    @property
    def is_curvature_bound(self) -> bool:
        """Whether the step size depends on the curvature: a larger step than it allows diverges."""
        return True

    def averages(self, spec: SolverSpec) -> bool:
        """Return whether the mean of the last epoch's iterates is taken.

        A constant step keeps bouncing around the minimum; the mean of an epoch's iterates does not (Jain et
        al. 2018, tail averaging). With a step that the user chose, the last iterate is what a plain loop
        would give.
        """
        return (spec.learning_rate, spec.schedule, spec.sync_every) == ("auto", "constant", 1)


class Adam(GradientSolver):
    """Adam (Kingma and Ba 2015)."""

    name = "adam"

    def rule(self, spec: SolverSpec) -> UpdateRule:
        """Return the rule of `torch.optim.Adam`."""
        from linreg_dist.solvers.gradient.update_rules import adam_rule

        return adam_rule(decoupled=False)


class AdamW(GradientSolver):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    name = "adamw"

    def rule(self, spec: SolverSpec) -> UpdateRule:
        """Return the rule of `torch.optim.AdamW`."""
        from linreg_dist.solvers.gradient.update_rules import adam_rule

        return adam_rule(decoupled=True)


class RmsProp(GradientSolver):
    """RMSprop (Tieleman and Hinton 2012)."""

    name = "rmsprop"
    has_momentum = True

    def rule(self, spec: SolverSpec) -> UpdateRule:
        """Return the rule of `torch.optim.RMSprop`."""
        from linreg_dist.solvers.gradient.update_rules import rmsprop_rule

        return rmsprop_rule(spec.momentum)
