"""The type of blocks in which the digits of the files survive."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from linreg_dist.training.job import TrainJob


def dtype_of_files(job: TrainJob) -> type[np.floating[Any]]:
    """Return float32 where every number of the files has a place in it, else float64."""
    return np.float32 if job.columns.fit_float32(job.manifest.schema) else np.float64
