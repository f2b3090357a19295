"""One job end to end."""

from __future__ import annotations

from linreg_dist.model.describe import describe
from linreg_dist.verbs.score import evaluate, predict
from linreg_dist.verbs.train import Run, read_data, train
from linreg_dist.verbs.validate import check_data

__all__ = ["Run", "check_data", "describe", "evaluate", "predict", "read_data", "train"]
