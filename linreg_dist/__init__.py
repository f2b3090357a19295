"""Distributed linear regression on Parquet data, trained by PyTorch on Ray.

Importing this package loads neither torch nor ray: the heavy names below are resolved on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from linreg_dist._version import __version__
from linreg_dist.errors import (
    ClusterError,
    DataError,
    InterruptedRunError,
    LinregDistError,
    RunFailedError,
    RunInUseError,
    SpecError,
    StorageError,
)

if TYPE_CHECKING:
    from linreg_dist.jobspec import JobSpec
    from linreg_dist.model.linear_model import LinearModel
    from linreg_dist.run.finished_run import Run
    from linreg_dist.verbs.train import train

__all__ = [
    "ClusterError",
    "DataError",
    "InterruptedRunError",
    "JobSpec",
    "LinearModel",
    "LinregDistError",
    "Run",
    "RunFailedError",
    "RunInUseError",
    "SpecError",
    "StorageError",
    "__version__",
    "train",
]

_LAZY = {
    "JobSpec": "linreg_dist.jobspec",
    "LinearModel": "linreg_dist.model.linear_model",
    "Run": "linreg_dist.run.finished_run",
    "train": "linreg_dist.verbs.train",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
