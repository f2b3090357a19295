"""Dagster: a trained model as an asset, from code (`linreg_asset`) or from YAML (`LinregComponent`).

Needs the extra ``linreg-dist[dagster]``. See docs/dagster.md.
"""

from __future__ import annotations

try:
    import dagster  # noqa: F401 (asked for here, to say what is missing)
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "linreg_dist.integrations.dagster needs Dagster; install it with `pip install 'linreg-dist[dagster]'`"
    ) from error

from linreg_dist.integrations.dagster.asset import linreg_asset
from linreg_dist.integrations.dagster.component import LinregComponent

__all__ = ["LinregComponent", "linreg_asset"]
