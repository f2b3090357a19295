"""Metrics of a model, and the lines of metrics.jsonl that carry them.

Files of earlier versions are read too, so a field that they may lack has a default.
"""

from __future__ import annotations

from linreg_dist.documents.base import Document


class Metrics(Document):
    """Errors of a model on some rows; of several targets the plain mean over them.

    Attributes:
        mse, rmse, mae: mean squared error, its root, mean absolute error; None where it is not known.
        mae_reason: why ``mae`` is not known.
        r2: 1 - Σw·e² / Σw·(y - ȳ)²; None where the target is constant.
        per_target: each target's own metrics, where there are several.

    """

    mse: float
    rmse: float
    mae: float | None = None
    mae_reason: str | None = None
    r2: float | None = None
    per_target: dict[str, Metrics] | None = None


class SplitMetrics(Document):
    """The metrics of the training and of the validation rows; None where there are none."""

    train: Metrics | None = None
    validation: Metrics | None = None


class EpochLine(Document):
    """A line of metrics.jsonl for a finished epoch.

    Attributes:
        epoch: from 0.
        rows: training rows of a pass, over all workers.
        rows_per_s: training rows a second, over all workers.
        seconds: of the epoch.
        train_mse: mean squared error of the training rows as the epoch met them.
        validation_mse, validation_r2: after the epoch; None where no rows are held out.
        loss: the objective after the epoch, penalty included, with features and targets on the scale on which
            it is minimised; None where the solver does not know it.
        validation_loss: the same on the rows held out, where it is not half of ``validation_mse``: of Huber's
            loss.

    """

    epoch: int
    rows: int | None = None
    rows_per_s: float | None = None
    seconds: float | None = None
    train_mse: float | None = None
    validation_mse: float | None = None
    validation_r2: float | None = None
    loss: float | None = None
    validation_loss: float | None = None

    @classmethod
    def of(
        cls,
        epoch: int,
        *,
        rows: int,
        rows_per_s: float,
        seconds: float,
        train_mse: float | None,
        validation: Metrics | None,
        loss: float | None = None,
        validation_loss: float | None = None,
    ) -> EpochLine:
        """Return the line of an epoch with these metrics."""
        losses = {"loss": loss, "validation_loss": validation_loss}
        known = {name: value for name, value in losses.items() if value is not None}
        return cls(
            **known,
            epoch=epoch,
            rows=rows,
            rows_per_s=rows_per_s,
            seconds=seconds,
            train_mse=train_mse,
            validation_mse=validation.mse if validation else None,
            validation_r2=validation.r2 if validation else None,
        )


class Tick(Document):
    """A line of metrics.jsonl between two epochs: how far the job is.

    Attributes:
        progress: 0 to 1, over the whole job.
        phase: what is done now.
        of_epoch: the epoch in progress, from 0; None where there are none.
        rows: done in this phase.
        rows_per_s, loss, eta_s: rows a second, the loss so far, seconds left; None where not known.

    """

    progress: float
    phase: str | None = None
    of_epoch: int | None = None
    rows: int | None = None
    rows_per_s: float | None = None
    loss: float | None = None
    eta_s: float | None = None


Event = EpochLine | Tick
