"""The result of a solver, and the form in which a worker returns it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Shift
from linreg_dist.data.design.encoding import Encoding
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
from linreg_dist.model.covariance import CoefficientCovariance
from linreg_dist.training.checkpoints.row_counts import rows_document

if TYPE_CHECKING:
    from linreg_dist.solvers.base import Choice

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Totals:
    """What is known of all rows together.

    Attributes:
        counts: what became of the rows of all workers, and of the earlier ones of an update.
        x_mean_D, x_std_D: weighted mean and population standard deviation of the encoded features over the
            training rows, in the units of the files.

    """

    counts: RowCounts
    x_mean_D: Vector
    x_std_D: Vector


@dataclass(frozen=True)
class Fit:
    """A fitted model and how it came about. A solver may leave out all but the first four.

    Attributes:
        coef_KD, intercept_K: in the units of the files.
        epochs: passes over the training rows that the solver made, over all attempts.
        stopped: why it ended.
        choices: what every ``auto`` stood for, and what the solver knows about its own accuracy.
        rows_per_s: training rows a second over all workers.
        train_s: seconds of the solver in this attempt.
        read_s: seconds until it had read what it needs; None for those of `Training.summary`.
        totals: of the rows; None for those of `Training.summary`.
        metrics: of both splits; None has them measured in a pass over the rows.
        penalty: the penalty, where it is not the spec's; inference, tune: where the solver has them.
        covariance: of the coefficients, where it exists.

    """

    coef_KD: Vector
    intercept_K: Vector
    epochs: int
    stopped: str
    choices: Mapping[str, Any] = field(default_factory=dict)
    rows_per_s: float = 0.0
    train_s: float = 0.0
    read_s: float | None = None
    totals: Totals | None = None
    metrics: SplitMetrics | None = None
    penalty: PenaltyDocument | None = None
    inference: Inference | None = None
    tune: Tune | None = None
    covariance: CoefficientCovariance | None = None

    def in_blocks(self, shift: Shift) -> tuple[Vector, Vector]:
        """Return coefficients (D, K) and intercepts (K) for features and targets less their shift."""
        intercept = self.intercept_K - shift.y_K + self.coef_KD @ shift.x_D
        return self.coef_KD.T, intercept


def found_of(
    choice: Choice, encoding: Encoding, fit: Fit, totals: Totals, metrics: SplitMetrics, read_s: float
) -> Found:
    """Return a fit in plain numbers, with the rows behind it.

    Args:
        choice: the solver, and why it was chosen.
        encoding: how the columns were encoded.
        fit: the result of the solver.
        totals: of the rows.
        metrics: of both splits.
        read_s: seconds of reading.

    """
    instead = choice.instead_of
    replaced: dict[str, Any] = (
        {} if instead is None else {"fallback": f"{instead.solver.name} ({instead.reason})"}
    )
    return Found(
        coef_KD=fit.coef_KD.tolist(),
        intercept_K=fit.intercept_K.tolist(),
        encoding=encoding.to_json(),
        scaling=ScalingDocument(x_mean=totals.x_mean_D.tolist(), x_std=totals.x_std_D.tolist()),
        rows=rows_document(totals.counts),
        missing_values=dict(totals.counts.missing),
        metrics=metrics,
        solver=SolverDocument(
            name=choice.solver.name,
            reason=choice.reason,
            **replaced,
            epochs=fit.epochs,
            stopped=fit.stopped,
            **fit.choices,
        ),
        penalty=fit.penalty,
        inference=fit.inference,
        tune=fit.tune,
        rows_per_s=fit.rows_per_s,
        read_s=read_s,
        fit_s=fit.train_s,
    )
