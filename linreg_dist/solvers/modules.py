"""Rules for a module of the user's own: what a spec may ask for beside it, and what it may not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from linreg_dist.jobspec.checks import Conflict

if TYPE_CHECKING:
    from linreg_dist.jobspec import JobSpec
    from linreg_dist.solvers.base import Solver

_AT = ("model", "module")


def refuse_beside_module(spec: JobSpec, solver: Solver) -> Iterator[Conflict]:
    """Yield what has no meaning for a module of the user's, each at the field to point at."""
    if not solver.trains_modules:
        yield Conflict(
            ("solver", "name"),
            f"{solver.name} solves for coefficients, which model.module has none of; use adam, adamw, sgd or "
            "rmsprop, or remove model.module",
            (_AT, ("solver", "name")),
        )
    model = spec.model
    wrong: list[tuple[tuple[str, ...], bool, str]] = [
        (("model", "loss"), model.loss != "squared", "squared loss only"),
        (("model", "l1"), model.l1 > 0, "l2, which decays all its weights, and not l1"),
        (
            ("model", "fit_intercept"),
            not model.fit_intercept,
            "its own offsets: write the module without any",
        ),
        (("model", "covariance"), model.covariance != "nonrobust", "no standard errors"),
        (("tune",), spec.tune is not None, "no cross-validation from statistics"),
        (("outputs", "export"), bool(spec.outputs.export), "no exports: save it in a form of your own"),
        (("solver", "sync_every"), spec.solver.sync_every > 1, "synchronisation at every step"),
    ]
    for at, is_set, what in wrong:
        if is_set:
            yield Conflict(at, f"a module of your own (model.module) has {what}; remove it", (_AT, at))
