"""The solvers as the spec sees them: the names that ``solver.name`` may have, and what each refuses."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Protocol

from linreg_dist.jobspec.fields import OneOf

if TYPE_CHECKING:
    from linreg_dist.jobspec.checks import Conflict
    from linreg_dist.jobspec.models import JobSpec


class SolverRules(Protocol):
    """What the spec asks of a solver."""

    def refuses(self, spec: JobSpec) -> Iterable[Conflict]:
        """Return what the solver cannot do of what a spec asks for."""


def known_solvers() -> Mapping[str, SolverRules]:
    """Return every solver by name, those that others have added too.

    They are found by the name of their module: it imports the spec, and cannot be imported by it. Nothing
    heavy is loaded by that.
    """
    solvers: Mapping[str, SolverRules] = importlib.import_module("linreg_dist.solvers").SOLVERS
    return solvers


SolverName = Annotated[str, OneOf(known_solvers)]
"""The name of a solver."""
