"""`LinregComponent`: a trained model as a component of Dagster, configured in YAML."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import dagster as dg
from pydantic import Field

from linreg_dist.integrations.dagster.asset import asset_of
from linreg_dist.integrations.dagster.settings import Settings
from linreg_dist.jobspec import is_uri


class LinregComponent(dg.Component, dg.Model, dg.Resolvable):
    """A linear regression on Parquet, trained by linreg_dist, as an asset."""

    spec: str | dict[str, Any] = Field(
        description="A job spec: its file, relative to this one, or the spec itself."
    )
    asset: dg.ResolvedAssetSpec = Field(
        description="The asset: key, group_name, deps, owners, partitions_def, automation_condition, …"
    )
    overrides: dict[str, Any] = Field(
        default_factory=dict, description="Fields of the spec to set: {model.l2: 0.1}."
    )
    address: str | None = Field(
        default=None, description="URL of a Ray cluster's job server; without it the job runs here."
    )
    if_changed: Literal["refuse", "update", "fresh"] = Field(
        default="update", description="What to do where the spec or the data has changed since the last run."
    )
    partition_path: str = Field(
        default="{partition_key}",
        description="The file, folder or glob of a partition below data.path: month={partition_key}.",
    )
    ship_package: bool = Field(
        default=False, description="Send linreg_dist to the cluster, for one that lacks it."
    )
    wait_in_use_s: float = Field(
        default=3600.0, description="Seconds to wait for another driver of the same run."
    )
    max_r2_drop: float = Field(default=0.01, description="R² may be lower than the last run's by so much.")
    max_mean_shift: float = Field(
        default=0.25,
        description="A column's mean may have moved since the last run by so many standard deviations.",
    )
    max_retries: int = Field(
        default=3, ge=0, description="Retries of a failed run or a lost cluster; wrong data is not retried."
    )
    retry_delay_s: float = Field(default=30.0, ge=0, description="Seconds before the first retry.")
    pool: str | None = Field(default=None, description="Dagster's pool of steps that run at a time.")

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Return the asset with its checks."""
        settings = Settings(
            spec=_beside(self.spec, Path(context.path)),
            overrides=self.overrides,
            address=self.address,
            if_changed=self.if_changed,
            partition_path=self.partition_path,
            ship_package=self.ship_package,
            wait_in_use_s=self.wait_in_use_s,
            max_r2_drop=self.max_r2_drop,
            max_mean_shift=self.max_mean_shift,
        )
        settings.load()  # what is wrong is said when the code is loaded
        retries = dg.RetryPolicy(self.max_retries, self.retry_delay_s, dg.Backoff.EXPONENTIAL)
        return dg.Definitions(assets=[asset_of(self.asset, settings, retry_policy=retries, pool=self.pool)])


def _beside(spec: str | Mapping[str, Any], component: Path) -> Path | dict[str, Any]:
    """Return a spec whose paths are relative to the component's folder."""
    folder = component if component.is_dir() else component.parent
    if isinstance(spec, str):
        return folder / spec
    data = dict(spec.get("data", {}))
    for section in (data, validation := dict(data.get("validation", {}))):
        if "path" in section:
            section["path"] = _absolute(section["path"], folder)
    if validation:
        data["validation"] = validation
    return {**spec, "data": data}


def _absolute(path: Any, folder: Path) -> Any:
    if isinstance(path, list):
        return [_absolute(each, folder) for each in path]
    if not isinstance(path, str) or is_uri(path) or path.startswith("$"):
        return path
    return os.path.normpath(folder / path)
