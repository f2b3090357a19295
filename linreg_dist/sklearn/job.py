"""The job spec of an estimator's parameters."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from linreg_dist.errors import SpecError

# The field of the spec that each parameter stands for.
FIELDS = {
    "loss": "model.loss",
    "huber_epsilon": "model.huber_epsilon",
    "fit_intercept": "model.fit_intercept",
    "standardize": "model.standardize",
    "l1": "model.l1",
    "l2": "model.l2",
    "solver": "solver.name",
    "epochs": "solver.epochs",
    "learning_rate": "solver.learning_rate",
    "global_batch_size": "solver.global_batch_size",
    "missing": "data.missing",
    "random_state": "solver.seed",
    "num_workers": "scaling.num_workers",
    "use_gpu": "scaling.use_gpu",
    "storage_path": "run.storage_path",
    "name": "name",
}


def make_spec(parameters: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the job spec of one fit, in which every row trains.

    Args:
        parameters: a value for every key of `FIELDS`.
        data: what `fit` itself says of the spec's section of that name.

    """
    spec: dict[str, Any] = {"data": {**data, "validation": {"method": "none"}}}
    for parameter, field in FIELDS.items():
        *sections, key = field.split(".")
        place = spec
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = _as_plain(parameters[parameter])
    return spec


def check_overrides(overrides: Mapping[str, Any] | None, set_by_fit: Collection[str]) -> dict[str, Any]:
    """Return the overrides, none of which contradicts a parameter or an argument of `fit`.

    Args:
        overrides: values by their dotted path in the spec.
        set_by_fit: the fields of the section ``data`` that `fit` was given.

    Raises:
        SpecError: one does; or they are no map.

    """
    if overrides is None:
        return {}
    if not isinstance(overrides, Mapping):
        raise SpecError(
            f"overrides is {overrides!r}; expected a dict of values by their path in the job spec, such as "
            '{"solver.momentum": 0.9}'
        )
    taken = {field: f"the parameter {parameter} sets" for parameter, field in FIELDS.items()}
    taken |= {f"data.{field}": "fit sets from its arguments" for field in set_by_fit}
    for path in overrides:
        for field, by_whom in taken.items():
            if _is_within(path, field) or _is_within(field, path):
                raise SpecError(f"overrides sets {path}, but {field} is what {by_whom}; remove it there")
    return dict(overrides)


def levels_named_in(overrides: Mapping[str, Any]) -> set[str]:
    """Return the columns that the overrides of ``data.categorical`` want encoded by their levels."""
    whole = overrides.get("data.categorical")
    prefix = "data.categorical."
    single = {path.removeprefix(prefix) for path in overrides if path.startswith(prefix)}
    return single | set(whole if isinstance(whole, Mapping) else ())


def _is_within(path: str, other: str) -> bool:
    return path == other or path.startswith(f"{other}.")


def _as_plain(value: Any) -> Any:
    """Return Python's own value for one of numpy's, which searches over grids pass."""
    if isinstance(value, np.generic):
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value
