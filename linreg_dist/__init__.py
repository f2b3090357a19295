"""Distributed linear regression on Parquet data, trained by PyTorch on Ray.

Importing this package loads neither torch nor ray: the heavy names below are resolved on first use.
"""

from __future__ import annotations

import importlib
import random
from typing import TYPE_CHECKING, Any

from linreg_dist._version import __version__
from linreg_dist.errors import (
    ClusterError,
    DataError,
    InterruptedRunError,
    LimitError,
    LinregDistError,
    RunFailedError,
    RunInUseError,
    SpecError,
    StorageError,
)

if TYPE_CHECKING:
    from linreg_dist.api.fit import fit
    from linreg_dist.api.train import train
    from linreg_dist.jobspec import JobSpec
    from linreg_dist.model.linear_model import LinearModel
    from linreg_dist.run.finished_run import Run

__all__ = [
    "ClusterError",
    "DataError",
    "InterruptedRunError",
    "JobSpec",
    "LimitError",
    "LinearModel",
    "LinregDistError",
    "Run",
    "RunFailedError",
    "RunInUseError",
    "SpecError",
    "StorageError",
    "__version__",
    "fit",
    "train",
]

_LAZY = {
    "JobSpec": "linreg_dist.jobspec",
    "LinearModel": "linreg_dist.model.linear_model",
    "Run": "linreg_dist.run.finished_run",
    "fit": "linreg_dist.api.fit",
    "train": "linreg_dist.api.train",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        state = random.getstate()  # rich draws when it is imported, and the caller may have seeded
        try:
            return getattr(importlib.import_module(_LAZY[name]), name)
        finally:
            random.setstate(state)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
