"""What every solver ends with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.covariance import CoefficientCovariance
from linreg_dist.data.block import Shift


@dataclass
class Fit:
    """A fitted model and how it came about.

    Attributes:
        coef_KD, intercept_K: in the units of the files.
        epochs: passes over the training rows that the solver made, over all attempts.
        stopped: why it ended.
        choices: what every ``auto`` stood for, and what the solver knows about its own accuracy.
        rows_per_s: training rows a second over all workers.
        train_s: seconds of the solver in this attempt.
        documents: further results to keep beside the model, JSON types only.
        covariance: of the coefficients, where it exists.

    """

    coef_KD: npt.NDArray[np.float64]
    intercept_K: npt.NDArray[np.float64]
    epochs: int
    stopped: str
    choices: dict[str, Any]
    rows_per_s: float
    train_s: float
    documents: dict[str, Any] = field(default_factory=dict)
    covariance: CoefficientCovariance | None = None

    def in_blocks(self, shift: Shift) -> tuple[torch.Tensor, torch.Tensor]:
        """Return coefficients (D, K) and intercepts (K) for features and targets less their shift."""
        intercept = self.intercept_K - shift.y_K + self.coef_KD @ shift.x_D
        return torch.from_numpy(np.ascontiguousarray(self.coef_KD.T)), torch.from_numpy(intercept)
