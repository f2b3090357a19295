"""The job spec: how it is read and checked."""

from __future__ import annotations

from linreg_dist.jobspec.data_section import DataSpec, ValidationSpec
from linreg_dist.jobspec.filters import Condition
from linreg_dist.jobspec.load import load_spec, run_name
from linreg_dist.jobspec.matrix import expand_matrix
from linreg_dist.jobspec.models import JobSpec
from linreg_dist.jobspec.resolved import diff_specs, resolved_data, resolved_yaml, spec_hash
from linreg_dist.jobspec.schema import json_schema
from linreg_dist.jobspec.sections import (
    ClusterSpec,
    EarlyStopSpec,
    MlflowSpec,
    ModelSpec,
    OpenLineageSpec,
    OutputsSpec,
    RunSpec,
    ScalingSpec,
    SolverSpec,
    TrackingSpec,
    TuneSpec,
)
from linreg_dist.jobspec.uris import SCHEMES, is_uri, split_query, uri_fault

__all__ = [
    "SCHEMES",
    "ClusterSpec",
    "Condition",
    "DataSpec",
    "EarlyStopSpec",
    "JobSpec",
    "MlflowSpec",
    "ModelSpec",
    "OpenLineageSpec",
    "OutputsSpec",
    "RunSpec",
    "ScalingSpec",
    "SolverSpec",
    "TrackingSpec",
    "TuneSpec",
    "ValidationSpec",
    "diff_specs",
    "expand_matrix",
    "is_uri",
    "json_schema",
    "load_spec",
    "resolved_data",
    "resolved_yaml",
    "run_name",
    "spec_hash",
    "split_query",
    "uri_fault",
]
