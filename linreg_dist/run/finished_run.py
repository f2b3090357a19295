"""`Run`: a finished run, as Python code gets it from `train`."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from linreg_dist.documents import ResultDocument
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.storage import Location


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        path: its folder; an `ObjectPath` where ``run.storage_path`` is a URI.
        document: what result.json says.
        already_finished: whether the job had been run before and nothing was done now.
        kept_model: the model, where its folder goes away; see `detached`.

    """

    path: Location
    document: ResultDocument
    already_finished: bool = False
    kept_model: LinearModel | None = field(default=None, repr=False, compare=False)

    @cached_property
    def result(self) -> dict[str, Any]:
        """The document in JSON types, as in result.json."""
        return self.document.to_json()

    @property
    def metrics(self) -> dict[str, Any]:
        """``{"train": {"mse", "rmse", "mae", "r2"}, "validation": {…} or None}``."""
        metrics: dict[str, Any] = self.result["metrics"]
        return metrics

    @cached_property
    def model(self) -> LinearModel:
        """The fitted model."""
        return self.kept_model or LinearModel.load(self.path / "model")

    def detached(self) -> Run:
        """Return the run with its model in memory, for when its folder goes away."""
        return replace(self, kept_model=self.model.detached())
