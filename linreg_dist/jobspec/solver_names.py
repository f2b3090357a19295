"""The solvers as the spec sees them: the names that ``solver.name`` may have, and what each refuses."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Protocol

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

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


class _Known:
    """Lets a field have the name of a solver that is known when the field is checked."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _checked, serialization=core_schema.to_string_ser_schema()
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"enum": list(known_solvers()), "type": "string"}


def _checked(value: Any) -> str:
    names = known_solvers()
    if isinstance(value, str) and value in names:
        return value
    raise PydanticKnownError("literal_error", {"expected": ", ".join(repr(name) for name in names)})


SolverName = Annotated[str, _Known()]
"""The name of a solver."""
