"""One job end to end."""

from __future__ import annotations

from linreg_dist.run.check import check_data
from linreg_dist.run.describe import describe
from linreg_dist.run.score import evaluate, predict
from linreg_dist.run.train_job import Run, read_data, train

__all__ = ["Run", "check_data", "describe", "evaluate", "predict", "read_data", "train"]
