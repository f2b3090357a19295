"""One job end to end."""

from __future__ import annotations

from linreg_dist.run.train_job import Run, read_data, train

__all__ = ["Run", "read_data", "train"]
