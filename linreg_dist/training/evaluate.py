"""Evaluation passes: validation after each epoch, and the final metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Block
from linreg_dist.documents import Metrics, SplitMetrics
from linreg_dist.kernels.blas import one_blas_thread
from linreg_dist.training.rows.huber import HuberObjective
from linreg_dist.training.rows.metrics import ErrorSums
from linreg_dist.training.training import Training

Floats = npt.NDArray[np.float64]
Predictor = Callable[[Block], Floats]
"""Predicts (N, K) for the rows of a block, in the units of its targets."""
SumsOf = Callable[[int, Block, slice], ErrorSums]
"""Sums the errors over a range of the rows of a row group's block."""


@dataclass(frozen=True)
class Measured:
    """A model after an epoch.

    Attributes:
        validation: the metrics of the rows held out; None where there are none.
        loss, validation_loss: Huber's objective on both splits; None where it was not asked for.

    """

    validation: Metrics | None
    loss: float | None = None
    validation_loss: float | None = None


class Evaluator:
    """Measures a model on the training and validation rows of all workers.

    Args:
        training: this worker's part in the job.
        num_validation: validation rows over all workers.
        center_K: a constant near the mean of y (block units), around which sums of squares keep their digits.

    """

    def __init__(self, training: Training, num_validation: int, center_K: Floats) -> None:
        self._training = training
        self._worker, self._store = training.worker, training.data.store
        self._num_validation = num_validation
        self._center_K = center_K
        self._order = training.my_row_groups

    @classmethod
    def of(cls, training: Training) -> Evaluator:
        """Return the evaluator of a solver that asks for `Training.summary`."""
        summary = training.summary
        return cls(training, summary.counts.validation, summary.y.mean)

    def validation(self, coef_DK: Floats, intercept_K: Floats) -> Metrics | None:
        """Return the metrics of the validation rows, None if there are none. Every worker must call it."""
        if self._num_validation == 0:
            return None
        return self._measure(coef_DK, intercept_K, ("validation",)).validation

    def with_objective(self, coef_DK: Floats, intercept_K: Floats, huber: HuberObjective) -> Measured:
        """Return the metrics of the validation rows with Huber's objective, from one pass. Every worker must
        call it.
        """
        errors, length = self._sums_of(coef_DK, intercept_K), 1 + 4 * len(intercept_K)

        def sums_of(index: int, block: Block, rows: slice) -> Floats:
            losses = huber.sums(block.part(rows), coef_DK, intercept_K)
            return np.concatenate([errors(index, block, rows).values, losses])

        splits = ("train", "validation") if self._num_validation else ("train",)
        train, *held_out = self._totals(sums_of, length + 1 + len(intercept_K), splits)
        loss = huber.value(train[length:])
        if not held_out:
            return Measured(None, loss)
        targets = self._training.job.columns.targets
        validation = ErrorSums(held_out[0][:length]).metrics(targets)
        return Measured(validation, loss, huber.value(held_out[0][length:]))

    def final(self, coef_DK: Floats, intercept_K: Floats) -> SplitMetrics:
        """Return the metrics of both splits. Every worker must call it."""
        self._training.log.enter("metrics")
        return self._measure(coef_DK, intercept_K, ("train", "validation"), "metrics")

    def validation_of(self, predict: Predictor) -> Metrics | None:
        """Return what `validation` does, of any model. Every worker must call it."""
        if self._num_validation == 0:
            return None
        return self._sum_up(_errors_of(predict, self._center_K), ("validation",)).validation

    def final_of(self, predict: Predictor) -> SplitMetrics:
        """Return what `final` does, of any model. Every worker must call it."""
        self._training.log.enter("metrics")
        return self._sum_up(_errors_of(predict, self._center_K), ("train", "validation"), "metrics")

    @property
    def is_cheap(self) -> bool:
        """Whether every worker has all its blocks in memory. Every worker must ask."""
        return all(self._worker.gather(self._store.holds(self._order)))

    def _measure(
        self,
        coef_DK: Floats,
        intercept_K: Floats,
        splits: tuple[str, ...],
        phase: str | None = None,
    ) -> SplitMetrics:
        return self._sum_up(self._sums_of(coef_DK, intercept_K), splits, phase)

    def _sum_up(self, sums_of: SumsOf, splits: tuple[str, ...], phase: str | None = None) -> SplitMetrics:
        targets = self._training.job.columns.targets
        size = 1 + 4 * len(targets)
        totals = self._totals(lambda *rows: sums_of(*rows).values, size, splits, phase)
        return SplitMetrics.from_json(
            {split: ErrorSums(total).metrics(targets) for split, total in zip(splits, totals, strict=True)}
        )

    def _totals(
        self,
        sums_of: Callable[[int, Block, slice], Floats],
        size: int,
        splits: tuple[str, ...],
        phase: str | None = None,
    ) -> list[Floats]:
        """Return sums over the rows of each split, of all workers."""

        def measure_one(index: int) -> list[Floats]:
            block = self._store.load(index)
            parts = {"train": slice(0, block.num_train), "validation": slice(block.num_train, None)}
            return [sums_of(index, block, parts[split]) for split in splits]

        sums = [np.zeros(size) for _ in splits]
        log = self._training.log
        with one_blas_thread():
            for number, parts in enumerate(self._store.map(measure_one, self._order), 1):
                for total, part in zip(sums, parts, strict=True):
                    total += part
                if phase is not None and log.tick_due():
                    log.tick(phase, number / len(self._order))
        return [self._worker.sum(total) for total in sums]

    def _sums_of(self, coef_DK: Floats, intercept_K: Floats) -> SumsOf:
        """Return what sums the errors over a block, on this worker's device."""
        device, model = self._worker.device, (coef_DK, intercept_K, self._center_K)
        if self._worker.gpus is None:
            return lambda _, block, rows: ErrorSums.of(block.part(rows), *model)
        import torch

        from linreg_dist.training.rows.device import error_sums

        there, on_device = [torch.as_tensor(each, device=device) for each in model], self._training.on_device
        return lambda index, block, rows: ErrorSums(error_sums(on_device.of(index, block, rows), *there))


def _errors_of(predict: Predictor, center_K: Floats) -> SumsOf:
    """Return what sums the errors of any model: its predictions are measured as features with slope 1."""
    targets = len(center_K)

    def sums_of(_: int, block: Block, part: slice) -> ErrorSums:
        rows = block.part(part)
        if rows.num_rows == 0:
            return ErrorSums.zeros(targets)
        predicted = Block(predict(rows), rows.y_NK, rows.w_N, rows.num_rows)
        return ErrorSums.of(predicted, np.eye(targets), np.zeros(targets), center_K)

    return sums_of
