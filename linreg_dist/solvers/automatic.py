"""``solver.name: auto``: the solver that selects another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from linreg_dist.solvers.base import Choice, Fallback, Solver
from linreg_dist.solvers.exact.solver import Exact
from linreg_dist.solvers.gradient.solver import Adam, Sgd
from linreg_dist.solvers.lbfgs.solver import Lbfgs

if TYPE_CHECKING:
    from linreg_dist.jobspec import JobSpec
    from linreg_dist.training.fit import Fit
    from linreg_dist.training.training import Training

MAX_EXACT_COLUMNS = 4096
"""Up to how many encoded columns squared loss is solved exactly."""


class Auto(Solver):
    """Selects: exact for squared loss, as long as the columns are not too many for it; else L-BFGS, or SGD
    where the objective has no gradient.
    """

    name = "auto"
    is_iterative = False  # as far as anybody knows before it has chosen
    trains_modules = True
    has_statistics = True  # where the spec asks for what comes from them, it selects the exact solver

    def choose(self, spec: JobSpec, *, is_update: bool = False) -> Choice:
        """Return the solver for a spec.

        A Gram matrix of very many columns takes more memory and arithmetic than passes over the data. What
        only the exact solver can do (l1, tuning, robust errors, updates) it still does.
        """
        model = spec.model
        if model.module is not None:
            return Choice(Adam(), "auto: a module of your own has no closed form")
        if model.loss != "squared":
            reason = f"auto: {model.loss} loss has no closed form"
            if model.l1 > 0.0:
                return Choice(Sgd(), f"{reason}, and l1 no gradient")
            return Choice(Lbfgs(), reason)
        fallback = None
        if not (model.l1 > 0 or model.covariance != "nonrobust" or spec.tune is not None or is_update):
            fallback = Fallback(
                Lbfgs(),
                MAX_EXACT_COLUMNS,
                f"auto: more than {MAX_EXACT_COLUMNS:,} columns after encoding are too many for a Gram "
                "matrix",
            )
        return Choice(Exact(), "auto: squared loss has an exact solution in one pass", fallback)

    def fit(self, training: Training) -> Fit:
        """Not to be called: what was selected fits.

        Raises:
            TypeError: always.

        """
        raise TypeError("auto selects a solver and has none of its own; call choose(spec).solver.fit")
