"""The settings of an asset that trains a model, and what they say of the data of a partition."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import Formatter
from typing import Any

import dagster as dg

from linreg_dist.errors import SpecError
from linreg_dist.jobspec import JobSpec, load_spec
from linreg_dist.verbs.updating.changed import IfChanged

_OF_TIME = ("start", "end")


@dataclass(frozen=True)
class Settings:
    """How a model is trained, see `linreg_asset`.

    Attributes:
        spec: a spec file, or the same as a mapping.
        overrides: ``["model.l2=0.1"]`` or ``{"model.l2": 0.1}``.
        address: URL of a Ray cluster's job server; None trains in a child process here.
        if_changed: what to do where the spec or the data has changed since the last run.
        partition_path: the file, folder or glob of a partition below ``data.path``.
        ship_package: send this package to the cluster, which lacks it.
        wait_in_use_s: seconds to wait for another driver of the same run.
        max_r2_drop, max_mean_shift: limits of the checks.

    """

    spec: str | os.PathLike[str] | Mapping[str, Any]
    overrides: Sequence[str] | Mapping[str, Any] = ()
    address: str | None = None
    if_changed: IfChanged = "update"
    partition_path: str = "{partition_key}"
    ship_package: bool = False
    wait_in_use_s: float = 3600.0
    max_r2_drop: float = 0.01
    max_mean_shift: float = 0.25

    def load(self) -> JobSpec:
        """Return the spec as it is now.

        Raises:
            SpecError: it is invalid.

        """
        return load_spec(self.spec, self.overrides)

    def check_partition_path(self, partitions_def: dg.PartitionsDefinition | None) -> None:
        """See that `partition_path` names nothing that a partition lacks.

        Raises:
            SpecError: names what it may use.

        """
        if partitions_def is None:
            return
        known = {"partition_key"}
        if isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
            known |= {*_OF_TIME}
        if isinstance(partitions_def, dg.MultiPartitionsDefinition):
            known |= {each.name for each in partitions_def.partitions_defs}
        try:
            fields = [name for _, name, _, _ in Formatter().parse(self.partition_path) if name is not None]
        except ValueError as error:
            raise SpecError(f"partition_path {self.partition_path!r} is no template: {error}") from error
        unknown = [name for name in fields if name.partition(".")[0] not in known]
        if unknown or not fields:
            found = f"{{{unknown[0]}}}" if unknown else "no name of a partition"
            raise SpecError(
                f"partition_path {self.partition_path!r} has {found}; expected a path below data.path with "
                f"{', '.join(f'{{{name}}}' for name in sorted(known))}, such as month={{partition_key}}"
            )

    def keys_of(self, context: dg.AssetExecutionContext) -> list[str]:
        """Return what `context`'s partitions are called below ``data.path``; empty without partitions."""
        if not context.has_partition_key and not context.has_partition_key_range:
            return []
        partitions_def = context.assets_def.partitions_def
        return [self._key(partitions_def, key) for key in context.partition_keys]

    def _key(self, partitions_def: dg.PartitionsDefinition | None, partition: str) -> str:
        fields: dict[str, Any] = {"partition_key": partition}
        if isinstance(partitions_def, dg.TimeWindowPartitionsDefinition):
            window = partitions_def.time_window_for_partition_key(partition)
            fields |= {"start": window.start, "end": window.end}
        if isinstance(partition, dg.MultiPartitionKey):
            fields |= dict(partition.keys_by_dimension)
        return self.partition_path.format(**fields)
