"""Conflicts between fields that are valid on their own, found on a whole spec."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from linreg_dist.jobspec.solver_names import known_solvers
from linreg_dist.jobspec.uris import uri_fault

if TYPE_CHECKING:
    from linreg_dist.jobspec.models import JobSpec


_MOST_LOOKS = 100_000
_MOST_CANDIDATES = 10_000


@dataclass(frozen=True)
class Conflict:
    """One disagreement between fields."""

    at: tuple[str | int, ...]
    """The field to point at."""
    message: str
    involves: tuple[tuple[str, ...], ...]
    """The fields that disagree; if one of them is itself invalid, the conflict says nothing new."""


def find_conflicts(spec: JobSpec) -> list[Conflict]:
    """Return every conflict in `spec`, in no particular order."""
    return [
        *_uris(spec),
        *_columns(spec),
        *_validation(spec),
        *_solver(spec),
        *_inference(spec),
        *_tune(spec),
        *_scaling(spec),
    ]


def _uris(spec: JobSpec) -> Iterator[Conflict]:
    fields = {
        ("data", "path"): spec.data.paths,
        ("data", "validation", "path"): spec.data.validation.paths,
        ("run", "storage_path"): (spec.run.storage_path,),
    }
    for field, uris in fields.items():
        # The URI itself is not shown: the message goes to logs.
        for fault in {fault for uri in uris if (fault := uri_fault(uri)) is not None}:
            yield Conflict(field, fault, (field,))


def _columns(spec: JobSpec) -> Iterator[Conflict]:
    data = spec.data
    roles: dict[str, set[str | None]] = {
        "target": {*data.targets},
        "weight": {data.weight},
        "validation.column": {data.validation.column},
    }
    excluded = {*data.exclude}
    for position, column in enumerate(data.features or ()):
        at = ("data", "features", position)
        for role, columns in roles.items():
            if column in columns:
                involves = (("data", "features"), ("data", *role.split(".")))
                yield Conflict(
                    at, f'"{column}" is both a feature and data.{role}; remove it from one', involves
                )
        if column in excluded:
            involves = (("data", "features"), ("data", "exclude"))
            yield Conflict(at, f'"{column}" is both in features and in exclude; remove it from one', involves)
    for position, column in enumerate(data.exclude):
        if column in roles["target"]:
            yield Conflict(
                ("data", "exclude", position),
                f'"{column}" is the target, which is never a feature; remove it here',
                (("data", "exclude"), ("data", "target")),
            )
    if data.weight is not None:
        involves = (("data", "weight"), ("data", "target"))
        if data.weight in data.targets:
            yield Conflict(
                ("data", "weight"), f'"{data.weight}" is also the target; weigh by another column', involves
            )
        if data.weight == data.validation.column:
            involves = (("data", "weight"), ("data", "validation", "column"))
            yield Conflict(
                ("data", "weight"),
                f'"{data.weight}" is also data.validation.column; use another column',
                involves,
            )
    elif data.weight_type == "frequency":
        yield Conflict(
            ("data", "weight_type"),
            "frequency weights need data.weight, the column that holds them",
            (("data", "weight_type"), ("data", "weight")),
        )
    features = None if data.features is None else dict.fromkeys(data.features)
    looks = 0
    for column in data.categorical:
        at_column = ("data", "categorical", column)
        if column in roles["target"]:
            involves = (("data", "categorical"), ("data", "target"))
            yield Conflict(
                at_column, f'"{column}" is the target, which must be numeric; remove it here', involves
            )
        elif features is not None and column not in features:
            looks += len(features)  # a look takes its time, and there may be thousands of names on both sides
            close = difflib.get_close_matches(column, features, n=1) if looks <= _MOST_LOOKS else []
            hint = f'did you mean "{close[0]}"?' if close else "add it there or remove it here"
            involves = (("data", "categorical"), ("data", "features"))
            yield Conflict(at_column, f'"{column}" is not among data.features; {hint}', involves)


def _validation(spec: JobSpec) -> Iterator[Conflict]:
    validation = spec.data.validation
    base = ("data", "validation")
    if validation.column is not None and validation.column in spec.data.targets:
        yield Conflict(
            (*base, "column"),
            f'"{validation.column}" is the target; mark held-out rows by another column',
            ((*base, "column"), ("data", "target")),
        )
    for field in ("column", "path"):
        given = getattr(validation, field) is not None
        if validation.method == field and not given:
            message = f"method {field} needs data.validation.{field}; add it, or use method hash"
            yield Conflict((*base, "method"), message, ((*base, "method"), (*base, field)))
        elif given and validation.method != field:
            message = (
                f"{field} has no effect with method {validation.method}; set method: {field} or remove it"
            )
            yield Conflict((*base, field), message, ((*base, "method"), (*base, field)))


def _solver(spec: JobSpec) -> Iterator[Conflict]:
    yield from known_solvers()[spec.solver.name].refuses(spec)


def _inference(spec: JobSpec) -> Iterator[Conflict]:
    covariance, cluster = spec.model.covariance, spec.data.cluster
    involves = (("model", "covariance"), ("data", "cluster"))
    if covariance == "cluster" and cluster is None:
        message = "covariance cluster needs data.cluster, the column that names each row's cluster"
        yield Conflict(("model", "covariance"), message, involves)
    if covariance != "cluster" and cluster is not None:
        message = (
            f"cluster has no effect with model.covariance {covariance}; set covariance: cluster or remove it"
        )
        yield Conflict(("data", "cluster"), message, involves)


def _tune(spec: JobSpec) -> Iterator[Conflict]:
    if spec.tune is None:
        return
    candidates = len(spec.tune.l2) * len(spec.tune.l1_ratio)
    if candidates > _MOST_CANDIDATES:
        message = (
            f"l2 and l1_ratio together stand for {candidates:,} penalties, expected at most "
            f"{_MOST_CANDIDATES:,}; give fewer values"
        )
        yield Conflict(("tune",), message, (("tune",),))
    if spec.model.loss != "squared":
        message = f"tune works for squared loss only, and model.loss is {spec.model.loss}; remove one"
        yield Conflict(("tune",), message, (("tune",), ("model", "loss")))
    for field in ("l1", "l2"):
        if getattr(spec.model, field) > 0:
            message = f"tune chooses the penalty, so model.{field} has no effect; remove one of them"
            yield Conflict(("model", field), message, (("tune",), ("model", field)))


def _scaling(spec: JobSpec) -> Iterator[Conflict]:
    scaling = spec.scaling
    if scaling.min_workers > scaling.max_workers:
        yield Conflict(
            ("scaling", "num_workers"),
            f"[min, max] must not have min above max; write [{scaling.max_workers}, {scaling.min_workers}]",
            (("scaling", "num_workers"),),
        )
    if scaling.virtual_shards != "auto" and scaling.virtual_shards < scaling.max_workers:
        yield Conflict(
            ("scaling", "virtual_shards"),
            f"{scaling.max_workers} workers need at least as many virtual shards, found "
            f"{scaling.virtual_shards}; raise it or use auto",
            (("scaling", "virtual_shards"), ("scaling", "num_workers")),
        )
