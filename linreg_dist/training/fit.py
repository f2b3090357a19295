"""The result of a solver, and the form in which a worker returns it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.covariance import CoefficientCovariance
from linreg_dist.data.block import Shift
from linreg_dist.data.encoding import Encoding
from linreg_dist.data.summary import RowCounts
from linreg_dist.documents import (
    Found,
    Inference,
    PenaltyDocument,
    ScalingDocument,
    SolverDocument,
    SplitMetrics,
    Tune,
)
from linreg_dist.training.row_counts import rows_document

Vector = npt.NDArray[np.float64]


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
        penalty: the penalty, where it is not the spec's; inference, tune: where the solver has them.
        covariance: of the coefficients, where it exists.

    """

    coef_KD: npt.NDArray[np.float64]
    intercept_K: npt.NDArray[np.float64]
    epochs: int
    stopped: str
    choices: dict[str, Any]
    rows_per_s: float
    train_s: float
    penalty: PenaltyDocument | None = None
    inference: Inference | None = None
    tune: Tune | None = None
    covariance: CoefficientCovariance | None = None

    def in_blocks(self, shift: Shift) -> tuple[torch.Tensor, torch.Tensor]:
        """Return coefficients (D, K) and intercepts (K) for features and targets less their shift."""
        intercept = self.intercept_K - shift.y_K + self.coef_KD @ shift.x_D
        return torch.from_numpy(np.ascontiguousarray(self.coef_KD.T)), torch.from_numpy(intercept)


def found_of(
    solver: str,
    encoding: Encoding,
    counts: RowCounts,
    fit: Fit,
    metrics: SplitMetrics,
    x_mean_D: Vector,
    x_std_D: Vector,
    read_s: float,
) -> Found:
    """Return a fit in plain numbers, with the rows behind it.

    Args:
        solver: its name.
        encoding: how the columns were encoded.
        counts: what became of the rows.
        fit: the result of the solver.
        metrics: of both splits.
        x_mean_D, x_std_D: of the encoded features, in the units of the files.
        read_s: seconds of reading.

    """
    return Found(
        coef_KD=fit.coef_KD.tolist(),
        intercept_K=fit.intercept_K.tolist(),
        encoding=encoding.to_json(),
        scaling=ScalingDocument(x_mean=x_mean_D.tolist(), x_std=x_std_D.tolist()),
        rows=rows_document(counts),
        missing_values=dict(counts.missing),
        metrics=metrics,
        solver=SolverDocument(name=solver, epochs=fit.epochs, stopped=fit.stopped, **fit.choices),
        penalty=fit.penalty,
        inference=fit.inference,
        tune=fit.tune,
        rows_per_s=fit.rows_per_s,
        read_s=read_s,
        fit_s=fit.train_s,
    )
