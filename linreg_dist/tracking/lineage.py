"""Lineage: the data sets that a run read and wrote, and the columns that made each coefficient.

The terms are OpenLineage's (https://openlineage.io/docs/spec/object-model): a job has runs; a run has inputs
and outputs, which are data sets with a namespace and a name; facets say more about each. Here they are plain
values, so that nothing of it needs ``openlineage-python``.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from linreg_dist.documents import ResultDocument
from linreg_dist.jobspec import JobSpec
from linreg_dist.wording.secrets import shown

INTERCEPT = "(intercept)"
_OF_STATUS = {"succeeded": "COMPLETE", "failed": "FAIL", "interrupted": "ABORT"}
_AUTHORITY_SCHEMES = ("abfs", "abfss", "hdfs", "wasb", "wasbs")


@dataclass(frozen=True)
class Place:
    """A data set's namespace and name, by OpenLineage's naming rules."""

    namespace: str
    name: str


@dataclass(frozen=True)
class SourceColumn:
    """A column of the data, and the coefficients that it has.

    Attributes:
        name: of the column.
        kind: numeric, categorical, …
        encoded: names of its coefficients; none where it was left out.

    """

    name: str
    kind: str | None = None
    encoded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Input:
    """A data set that was read.

    Attributes:
        place: where it is.
        version: the snapshot of a table, or the fingerprint of all files.
        role: train or validation.

    """

    place: Place
    version: str | None
    role: str = "train"


@dataclass(frozen=True)
class Lineage:
    """A run in OpenLineage's terms.

    Attributes:
        run_id: a UUID, the same for every event of one run.
        state: START, COMPLETE, FAIL or ABORT.
        job: the spec's name.
        inputs: the data sets.
        model: the output; None before there is one.
        columns: of the training data, features only.
        targets: names of the predicted columns.
        used_for_rows: columns that decide which rows count, and how much: filters, the weight, the split.
        result: how the run ended; None at its start.

    """

    run_id: str
    state: str
    job: str
    inputs: tuple[Input, ...]
    model: Place | None
    columns: tuple[SourceColumn, ...]
    targets: tuple[str, ...]
    used_for_rows: Mapping[str, str] = field(default_factory=dict)
    result: ResultDocument | None = None

    def coefficients(self) -> dict[str, tuple[str, ...]]:
        """Return each coefficient of the model with the columns that it was made from directly.

        A coefficient of several targets is named ``target/feature``. The intercept is made from all.
        """
        features = tuple(column.name for column in self.columns if column.encoded)
        found: dict[str, tuple[str, ...]] = {}
        for target in self.targets:
            prefix = f"{target}/" if len(self.targets) > 1 else ""
            for column in self.columns:
                for encoded in column.encoded:
                    found[prefix + encoded] = (column.name, target)
            found[prefix + INTERCEPT] = (*features, target)
        return found


def place_of(path: str) -> Place:
    """Return the name of a data set by its path or URI.

    ``/data/x`` is ``file`` and ``/data/x``; ``s3://bucket/key`` is ``s3://bucket`` and ``key``. See
    https://openlineage.io/docs/spec/naming.
    """
    parts = urlsplit(shown(path))
    if not parts.scheme:
        return Place("file", os.path.normpath(parts.path))
    scheme = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss"}.get(parts.scheme, parts.scheme)
    if scheme == "file":
        return Place("file", parts.path)
    name = parts.path if scheme in _AUTHORITY_SCHEMES else parts.path.strip("/")
    return Place(f"{scheme}://{parts.netloc}", name or "/")


def run_id(folder: str, started_at: str) -> str:
    """Return the UUID of one attempt at a run: the same for whoever asks."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{folder}#{started_at}"))


def lineage_of(
    spec: JobSpec,
    identity: str,
    result: ResultDocument | None = None,
    columns: Sequence[SourceColumn] = (),
) -> Lineage:
    """Return the lineage of a run.

    Args:
        spec: the job.
        identity: from `run_id`.
        result: how it ended; None when it starts.
        columns: the model's; empty where there is none.

    """
    if not columns and spec.data.features is not None:
        columns = [SourceColumn(name) for name in spec.data.features]
    succeeded = result is not None and result.status == "succeeded"
    return Lineage(
        run_id=identity,
        state="START" if result is None else _OF_STATUS.get(result.status, "OTHER"),
        job=spec.name,
        inputs=tuple(_inputs(spec, result)),
        model=place_of(result.model) if succeeded and result and result.model else None,
        columns=tuple(columns),
        targets=tuple(spec.data.targets),
        used_for_rows=_used_for_rows(spec),
        result=result,
    )


def _inputs(spec: JobSpec, result: ResultDocument | None) -> list[Input]:
    data = None if result is None else result.data
    versions = {} if data is None else {table.path: str(table.version) for table in data.tables}
    digest = None if data is None else data.digest
    found = [Input(place_of(path), versions.get(path, digest)) for path in spec.data.paths]
    found += [
        Input(place_of(path), versions.get(path, digest), "validation") for path in spec.data.validation.paths
    ]
    return found


def _used_for_rows(spec: JobSpec) -> dict[str, str]:
    """Return the columns that decide about rows, each with OpenLineage's word for how."""
    found: dict[str, str] = {}
    for conditions in spec.data.filter_dnf:
        found.update({column: "FILTER" for column, _, _ in conditions})
    if spec.data.validation.column is not None:
        found[spec.data.validation.column] = "FILTER"
    if spec.data.weight is not None:
        found[spec.data.weight] = "CONDITIONAL"
    return found
