"""Airflow 3: operators that train, predict and evaluate, here or on a Ray cluster, without holding a worker.

The operators are loaded when they are asked for: Airflow asks this package for its provider's metadata while
it starts, when its own classes cannot be imported yet.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linreg_dist.integrations.airflow.hook import LinregRayHook
    from linreg_dist.integrations.airflow.operators import (
        LinregEvaluateOperator,
        LinregPredictOperator,
        LinregTrainOperator,
    )

_MODULES = {
    "LinregEvaluateOperator": "operators",
    "LinregPredictOperator": "operators",
    "LinregRayHook": "hook",
    "LinregTrainOperator": "operators",
}

__all__ = ["LinregEvaluateOperator", "LinregPredictOperator", "LinregRayHook", "LinregTrainOperator"]


def __getattr__(name: str) -> Any:
    """Load a class with the module that has it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
