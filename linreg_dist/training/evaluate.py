"""Evaluation passes: validation after each epoch, and the final metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.documents import Metrics, SplitMetrics
from linreg_dist.training.rows.device import rows_of
from linreg_dist.training.rows.metrics import ErrorSums
from linreg_dist.training.training import Training


class Evaluator:
    """Measures a model on the training and validation rows of all workers.

    Args:
        training: this worker's part in the job.
        num_validation: validation rows over all workers.
        center_K: a constant near the mean of y (block units), around which sums of squares keep their digits.

    """

    def __init__(self, training: Training, num_validation: int, center_K: npt.NDArray[np.float64]) -> None:
        self._training = training
        self._worker, self._store = training.worker, training.data.store
        self._num_validation = num_validation
        self._center_K = torch.from_numpy(center_K).to(self._worker.device)
        self._order = training.my_row_groups

    @classmethod
    def of(cls, training: Training) -> Evaluator:
        """Return the evaluator of a solver that asks for `Training.summary`."""
        summary = training.summary
        return cls(training, summary.counts.validation, summary.y.mean)

    def validation(self, coef_DK: torch.Tensor, intercept_K: torch.Tensor) -> Metrics | None:
        """Return the metrics of the validation rows, None if there are none. Every worker must call it."""
        if self._num_validation == 0:
            return None
        return self._measure(coef_DK, intercept_K, ("validation",)).validation

    def final(self, coef_DK: Any, intercept_K: Any) -> SplitMetrics:
        """Return the metrics of both splits. Every worker must call it."""
        self._training.log.enter("metrics")
        return self._measure(coef_DK, intercept_K, ("train", "validation"), "metrics")

    @property
    def is_cheap(self) -> bool:
        """Whether every worker has all its blocks in memory. Every worker must ask."""
        return all(self._worker.gather(self._store.holds(self._order)))

    def _measure(
        self,
        coef_DK: Any,
        intercept_K: Any,
        splits: tuple[str, ...],
        phase: str | None = None,
    ) -> SplitMetrics:
        targets = self._training.job.columns.targets
        store, device = self._store, self._worker.device
        coef_DK, intercept_K = (torch.as_tensor(each, device=device) for each in (coef_DK, intercept_K))

        def measure_one(index: int) -> list[ErrorSums]:
            block = store.load(index)
            ranges = {"train": slice(0, block.num_train), "validation": slice(block.num_train, None)}
            return [
                ErrorSums.of(rows_of(block, ranges[split], device), coef_DK, intercept_K, self._center_K)
                for split in splits
            ]

        sums = [ErrorSums.zeros(len(targets)) for _ in splits]
        log = self._training.log
        for number, parts in enumerate(store.map(measure_one, self._order), 1):
            for total, part in zip(sums, parts, strict=True):
                total.merge(part)
            if phase is not None and log.tick_due():
                log.tick(phase, number / len(self._order))
        return SplitMetrics.from_json(
            {
                split: ErrorSums(self._worker.sum(total.values)).metrics(targets)
                for split, total in zip(splits, sums, strict=True)
            }
        )
