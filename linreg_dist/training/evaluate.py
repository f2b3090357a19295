"""Passes that only look: validation after each epoch, the final metrics, and a sample for the step size."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.documents import Metrics, SplitMetrics
from linreg_dist.solvers.gradient.optim import Curvature
from linreg_dist.training.rows.device import rows_of
from linreg_dist.training.rows.metrics import ErrorSums
from linreg_dist.training.rows.scaling import AffineScale
from linreg_dist.training.training import Training

_SAMPLE_ROWS, _SAMPLE_GROUPS = 16_384, 12


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

    def final(self, coef_DK: torch.Tensor, intercept_K: torch.Tensor) -> SplitMetrics:
        """Return the metrics of both splits. Every worker must call it."""
        return self._measure(coef_DK, intercept_K, ("train", "validation"))

    @property
    def is_cheap(self) -> bool:
        """Whether every worker has all its blocks in memory. Every worker must ask."""
        return all(self._worker.gather(self._store.holds(self._order)))

    def _measure(
        self, coef_DK: torch.Tensor, intercept_K: torch.Tensor, splits: tuple[str, ...]
    ) -> SplitMetrics:
        targets = self._training.job.columns.targets
        store, device = self._store, self._worker.device
        coef_DK, intercept_K = coef_DK.to(device), intercept_K.to(device)

        def measure_one(index: int) -> list[ErrorSums]:
            block = store.load(index)
            ranges = {"train": slice(0, block.num_train), "validation": slice(block.num_train, None)}
            return [
                ErrorSums.of(rows_of(block, ranges[split], device), coef_DK, intercept_K, self._center_K)
                for split in splits
            ]

        sums = [ErrorSums.zeros(len(targets)) for _ in splits]
        for parts in store.map(measure_one, self._order):
            for total, part in zip(sums, parts, strict=True):
                total.merge(part)
        return SplitMetrics.from_json(
            {
                split: ErrorSums(self._worker.sum(total.values)).metrics(targets)
                for split, total in zip(splits, sums, strict=True)
            }
        )


def sample_curvature(training: Training, scale: AffineScale) -> Curvature:
    """Measure the curvature on row groups spread over the data, which may be sorted.

    Every worker gets the same answer, whatever their number: row groups are measured one by one.
    """
    job, data = training.job, training.data
    trained_on = [group.index for group in job.manifest.row_groups if job.manifest.role(group) == "train"]
    chosen = trained_on[:: -(-len(trained_on) // _SAMPLE_GROUPS)]
    mine = set(training.my_row_groups)
    mean, spread = torch.from_numpy(scale.x_mean_D), torch.from_numpy(scale.x_scale_D)
    num_rows = max(_SAMPLE_ROWS // len(chosen), 4 * data.encoding.num_encoded)

    def measure_one(index: int) -> Curvature:
        block = data.store.load(index)
        x = block.x_ND[: min(block.num_train, num_rows)].double()
        return Curvature.measure((x - mean) / spread, fit_intercept=job.spec.model.fit_intercept)

    ours = [index for index in chosen if index in mine]
    everyone: dict[int, Curvature] = {}
    for found in training.worker.gather(dict(zip(ours, data.store.map(measure_one, ours), strict=True))):
        everyone |= found
    return Curvature.pooled([everyone[index] for index in chosen])
