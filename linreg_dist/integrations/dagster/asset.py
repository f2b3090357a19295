"""`linreg_asset`: a trained model as an asset of Dagster."""

# No `from __future__ import annotations`: Dagster looks at the type of `context` itself, not at its name.

import os
from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg

from linreg_dist.integrations.dagster import checks
from linreg_dist.integrations.dagster.metadata import column_means, metadata_of
from linreg_dist.integrations.dagster.running import show_model, train_model
from linreg_dist.integrations.dagster.settings import Settings
from linreg_dist.verbs.updating.changed import IfChanged

RETRIES = dg.RetryPolicy(max_retries=3, delay=30, backoff=dg.Backoff.EXPONENTIAL)
"""The retries of a step whose run failed or whose cluster was lost; wrong specs and data are not retried."""


def linreg_asset(
    spec: str | os.PathLike[str] | Mapping[str, Any],
    *,
    key: dg.AssetKey | str | Sequence[str] | None = None,
    overrides: Sequence[str] | Mapping[str, Any] = (),
    address: str | None = None,
    if_changed: IfChanged = "update",
    partitions_def: dg.PartitionsDefinition | None = None,
    partition_path: str = "{partition_key}",
    ship_package: bool = False,
    wait_in_use_s: float = 3600.0,
    max_r2_drop: float = 0.01,
    max_mean_shift: float = 0.25,
    retry_policy: dg.RetryPolicy | None = RETRIES,
    backfill_policy: dg.BackfillPolicy | None = None,
    pool: str | None = None,
    op_tags: Mapping[str, Any] | None = None,
    **asset: Any,
) -> dg.AssetsDefinition:
    """Return an asset that is materialized by training the model of a job spec.

    Materializing it again does what is needed: an unfinished run goes on from its checkpoints, a finished one
    on the same data is reported, new files are added, and where that is not possible the run starts over.

    Args:
        spec: a spec file, or the same as a mapping. It is checked when Dagster loads the code, and read again
            for every run.
        key: of the asset; by default the name of the job.
        overrides: ``["model.l2=0.1"]`` or ``{"model.l2": 0.1}``.
        address: URL of a Ray cluster's job server (``http://head:8265``), where the job then runs, whatever
            becomes of Dagster; by default it runs in a child process of the step.
        if_changed: what to do where the spec or the data has changed since the last run: ``update``,
            ``fresh`` or ``refuse``, as ``train --if-changed``.
        partitions_def: partitions of the data. A partition reads its own files and adds them to the whole.
        partition_path: the file, folder or glob of a partition below ``data.path``:
            ``month={partition_key}``; of time windows also ``{start}`` and ``{end}``, which are datetimes
            (``{start:%Y-%m-%d}``), of several dimensions their names.
        ship_package: send this package to the cluster, for one that lacks it.
        wait_in_use_s: seconds to wait for another driver of the same run, such as another partition's.
        max_r2_drop: R² may be lower than the last run's by so much.
        max_mean_shift: a column's mean may have moved since the last run by so many of its standard
            deviations.
        retry_policy: for what may be retried: by default three times.
        backfill_policy, pool, op_tags: as in `dagster.multi_asset`.
        **asset: what else `dagster.AssetSpec` takes: ``deps``, ``group_name``, ``owners``, ``tags``,
            ``description``, ``automation_condition``, …

    Raises:
        SpecError: the spec or ``partition_path`` is invalid.

    """
    settings = Settings(
        spec=spec,
        overrides=overrides,
        address=address,
        if_changed=if_changed,
        partition_path=partition_path,
        ship_package=ship_package,
        wait_in_use_s=wait_in_use_s,
        max_r2_drop=max_r2_drop,
        max_mean_shift=max_mean_shift,
    )
    name = settings.load().name
    asset.setdefault("kinds", {"python", "ray"} if address else {"python"})
    spec_of_asset = dg.AssetSpec(key=name if key is None else key, partitions_def=partitions_def, **asset)
    return asset_of(
        spec_of_asset,
        settings,
        retry_policy=retry_policy,
        backfill_policy=backfill_policy,
        pool=pool,
        op_tags=op_tags,
    )


def asset_of(
    asset: dg.AssetSpec,
    settings: Settings,
    *,
    retry_policy: dg.RetryPolicy | None = RETRIES,
    backfill_policy: dg.BackfillPolicy | None = None,
    pool: str | None = None,
    op_tags: Mapping[str, Any] | None = None,
) -> dg.AssetsDefinition:
    """Return the asset with this spec; see `linreg_asset`."""
    partitions_def = asset.partitions_def
    settings.check_partition_path(partitions_def)

    @dg.multi_asset(
        name=asset.key.to_python_identifier(),
        specs=[asset],
        check_specs=checks.check_specs(asset.key),
        partitions_def=partitions_def,
        retry_policy=retry_policy,
        backfill_policy=backfill_policy,
        pool=pool,
        op_tags=op_tags,
    )
    def train(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
        last = checks.last_metadata(context, asset.key)
        result, url = train_model(context, settings)
        shown = None if result.model is None else show_model(result.model)
        if result.model is not None and shown is None:
            context.log.warning(
                f"{result.model} cannot be read from here: no coefficients are shown, and the drift of the "
                "columns is not checked. Let run.storage_path be a place that this machine sees too"
            )
        means = column_means(result)
        digest = None if result.data is None else result.data.digest
        return dg.MaterializeResult(
            asset_key=asset.key,
            metadata=metadata_of(result, shown, means, url),
            check_results=checks.results(asset.key, result, means, last, settings),
            data_version=None if digest is None else dg.DataVersion(digest),
        )

    return train
