"""`JobSpec`: the whole job spec, checked."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, StrictStr, model_validator
from pydantic_core import PydanticCustomError

from linreg_dist.jobspec.checks import find_conflicts
from linreg_dist.jobspec.data_section import DataSpec
from linreg_dist.jobspec.fields import RunName, Section
from linreg_dist.jobspec.reading.interpolation import Interpolated
from linreg_dist.jobspec.reading.yaml_reader import Path
from linreg_dist.jobspec.secrets import hide_values
from linreg_dist.jobspec.sections import (
    ClusterSpec,
    ModelSpec,
    OutputsSpec,
    RunSpec,
    ScalingSpec,
    SolverSpec,
    TrackingSpec,
    TuneSpec,
)


@dataclass(frozen=True)
class ReadFrom:
    """The files that a spec was read from; no part of what it says, so specs that say the same are equal."""

    files: tuple[str, ...] = field(default=(), compare=False)


class JobSpec(Section):
    """One training job: what to read, what to minimise, how, where, and what to leave behind.

    Made from a file by `load_spec`, which resolves paths and environment variables; or from its sections.

    Raises:
        pydantic.ValidationError: a field or a combination is invalid (`load_spec` raises `SpecError`).

    """

    version: Literal[1] = Field(default=1, description="Version of the spec format; 1 is the only one.")
    name: RunName = Field(
        default="job",
        description="Name of the run, which lives in <run.storage_path>/<name>; default: the spec file's "
        "name without its ending.",
    )
    data: DataSpec = Field(description="Which Parquet to read, and how its columns become numbers.")
    model: ModelSpec = Field(default=ModelSpec(), description="What is minimised.")
    solver: SolverSpec = Field(default=SolverSpec(), description="How the minimum is found.")
    tune: TuneSpec | None = Field(
        default=None,
        description="Penalties to choose from by cross-validation in the same pass; null uses model.l1 "
        "and l2.",
    )
    scaling: ScalingSpec = Field(default=ScalingSpec(), description="How much machine the job gets.")
    run: RunSpec = Field(default=RunSpec(), description="Where the run lives and how it survives.")
    cluster: ClusterSpec = Field(default=ClusterSpec(), description="Which Ray cluster to use.")
    outputs: OutputsSpec = Field(
        default=OutputsSpec(), description="What a run writes beside the model and its result."
    )
    tracking: TrackingSpec = Field(
        default=TrackingSpec(), description="Which experiment trackers to tell: mlflow, tensorboard."
    )
    matrix: dict[StrictStr, Annotated[tuple[Any, ...], Field(min_length=1)]] | None = Field(
        default=None,
        description="For `batch`: fields by dotted path, each with the values to try, {model.l2: [0, "
        "0.1]}; one job per combination. null is one job.",
    )

    _interpolated: dict[Path, Interpolated] = PrivateAttr(default_factory=dict)
    _read_from: ReadFrom = PrivateAttr(default_factory=lambda: ReadFrom())

    @model_validator(mode="after")
    def _refuse_conflicts(self) -> JobSpec:
        conflicts = find_conflicts(self)
        if conflicts:
            text = "; ".join(f"{item.message} @ {'.'.join(map(str, item.at))}" for item in conflicts)
            raise PydanticCustomError("conflicts", "{text}", {"text": text, "conflicts": conflicts})
        return self

    def __setstate__(self, state: dict[Any, Any]) -> None:
        super().__setstate__(state)
        hide_values(self._interpolated)  # in a worker as in the process that read the spec

    def shown_paths(self) -> list[str]:
        """Return ``data.path`` as it may be written to files: with ``${VAR}`` where that was written."""
        record = self.interpolated()
        places: list[Path] = [("data", "path", index) for index in range(len(self.data.paths))]
        if isinstance(self.data.path, str):
            places = [("data", "path")]
        pairs = zip(places, self.data.paths, strict=True)
        return [record[place].template if place in record else path for place, path in pairs]

    def shown_names(self) -> dict[str, str]:
        """Return what to call each path of the data in files, where that is not the path itself."""
        record, names = self.interpolated(), dict(zip(self.data.paths, self.shown_paths(), strict=True))
        for index, path in enumerate(self.data.validation.paths):
            for place in (("data", "validation", "path"), ("data", "validation", "path", index)):
                if place in record:
                    names[path] = record[place].template
        return names

    def interpolated(self) -> dict[Path, Interpolated]:
        """Return the strings that were read from the environment and still stand as they were read."""
        return {path: item for path, item in self._interpolated.items() if self.at(path) == item.value}

    @property
    def files(self) -> tuple[str, ...]:
        """The files that the spec was read from, the one that it extends too; absolute paths."""
        return self._read_from.files

    def at(self, path: Path) -> Any:
        """Return the value at `path`, such as ``("data", "features", 0)``; None where there is none."""
        node: Any = self
        for step in path:
            if isinstance(node, Section):
                node = getattr(node, str(step), None)
            elif isinstance(node, dict):
                node = node.get(step)
            elif isinstance(node, list | tuple) and isinstance(step, int) and step < len(node):
                node = node[step]
            else:
                return None
        return node
