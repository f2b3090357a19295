"""The pieces of a job, built the way a worker builds them, for timing one piece at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.problems import TARGET, Dataset
from linreg_dist.data.block import BlockBuilder, Shift
from linreg_dist.data.design.columns import Columns, bind_columns
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.data.source.manifest import Manifest, read_manifest
from linreg_dist.jobspec import JobSpec, load_spec


@dataclass(frozen=True)
class Parts:
    """A data set with its spec, manifest and columns."""

    dataset: Dataset
    spec: JobSpec
    manifest: Manifest
    columns: Columns

    @classmethod
    def of(cls, dataset: Dataset) -> Parts:
        """Read the footers and bind the columns."""
        spec = load_spec(
            {"version": 1, "name": "parts", "data": {"path": str(dataset.parts), "target": TARGET}}, ()
        )
        manifest = read_manifest(spec.data.paths)
        return cls(dataset, spec, manifest, bind_columns(spec.data, manifest))

    def builder(self) -> BlockBuilder:
        """Return what turns row groups into blocks, with default settings: a hashed split and a shuffle."""
        features = self.columns.features
        return BlockBuilder(
            self.manifest,
            self.columns,
            self.spec.data,
            Encoding(tuple(NumericColumn(name, None) for name in features)),
            Shift(np.zeros(len(features)), np.zeros(1)),
            dtype=np.float32,
            shuffle=True,
            seed=0,
        )
