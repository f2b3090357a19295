"""The job spec: how it is read and checked."""

from __future__ import annotations

from linreg_dist.spec.load import load_spec
from linreg_dist.spec.models import JobSpec
from linreg_dist.spec.sections import (
    ClusterSpec,
    DataSpec,
    EarlyStopSpec,
    MlflowSpec,
    ModelSpec,
    OutputsSpec,
    RunSpec,
    ScalingSpec,
    SolverSpec,
    TrackingSpec,
    TuneSpec,
    ValidationSpec,
)

__all__ = [
    "ClusterSpec",
    "DataSpec",
    "EarlyStopSpec",
    "JobSpec",
    "MlflowSpec",
    "ModelSpec",
    "OutputsSpec",
    "RunSpec",
    "ScalingSpec",
    "SolverSpec",
    "TrackingSpec",
    "TuneSpec",
    "ValidationSpec",
    "load_spec",
]
