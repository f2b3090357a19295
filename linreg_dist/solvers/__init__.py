"""The solvers: one room each, and one class each that the rest of the program knows by `SOLVERS` alone."""

from __future__ import annotations

from linreg_dist.solvers.automatic import Auto
from linreg_dist.solvers.base import SOLVERS, Choice, Fallback, Solver, Solvers
from linreg_dist.solvers.exact.solver import Exact
from linreg_dist.solvers.gradient.solver import Adam, AdamW, RmsProp, Sgd
from linreg_dist.solvers.lbfgs.solver import Lbfgs

for _each in (Auto(), Exact(), Sgd(), Adam(), AdamW(), RmsProp(), Lbfgs()):
    SOLVERS.add(_each)

__all__ = ["SOLVERS", "Choice", "Fallback", "Solver", "Solvers"]
