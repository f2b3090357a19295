"""The exact solver on the workers: one pass sums the moments, one exchange merges them, every worker solves.

Where the Gram matrix cannot deliver all digits, a second pass combines QR factors instead.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.block import Shift
from linreg_dist.data.summary import RowCounts
from linreg_dist.stats.moments import Moments, merge_all
from linreg_dist.stats.solve import Solution, solve
from linreg_dist.stats.tsqr import RFactor, merge_factors
from linreg_dist.training.fit import Fit
from linreg_dist.training.inference import inference_document
from linreg_dist.training.job import TrainJob
from linreg_dist.training.prepare import OpenData, check_counts, check_weight, collect_by_lane
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.worker import Worker

Vector = npt.NDArray[np.float64]


@dataclass
class ExactSums:
    """Counts and moments of the training and the validation rows of some row groups, in block units or
    those of the files.
    """

    counts: RowCounts
    train: Moments
    validation: Moments

    @classmethod
    def empty(cls, job: TrainJob, data: OpenData) -> ExactSums:
        """Return the sums of no rows."""
        names = data.encoding.names, job.columns.targets
        return cls(RowCounts(), Moments.empty(*names), Moments.empty(*names))

    def merge(self, other: ExactSums) -> None:
        """Add another part's rows to these."""
        self.counts.merge(other.counts)
        self.train.merge_(other.train)
        self.validation.merge_(other.validation)

    def feature_mean(self) -> Vector:
        """Weighted means of the features over training rows, (D,)."""
        return _numpy(self.train.mean[: self.train.num_features])

    def feature_std(self) -> Vector:
        """Weighted population standard deviations of the features over training rows, (D,)."""
        variance = self.train.cross.diagonal()[: self.train.num_features] / self.train.sum_w
        return _numpy(variance.clamp_min(0.0).sqrt())

    def target_mean(self, shift: Shift) -> Vector:
        """Means of the targets over training rows in block units, (K,)."""
        return _numpy(self.train.mean[self.train.num_features :]) - shift.y_K

    def metrics(self, fit: Fit) -> dict[str, Any]:
        """Return the metrics of both splits that moments can give: all but the mean absolute error, which
        is None.
        """
        splits = {"train": self.train, "validation": self.validation}
        return {name: _moment_metrics(moments, fit) for name, moments in splits.items()}


def gather_moments(worker: Worker, job: TrainJob, data: OpenData, log: MetricsLog) -> ExactSums:
    """Sum the moments of all rows of all workers, in the units of the files.

    Raises:
        DataError: on every worker alike: see `check_counts` and `check_weight`, and values too
            large to be squared.

    """
    features, targets = data.encoding.names, job.columns.targets

    def sum_one(index: int) -> ExactSums:
        block, selection = data.store.build(index)
        counts = RowCounts()
        counts.add(selection, index, job.manifest.row_groups[index].num_rows)
        if selection.missing and job.spec.data.missing == "error":
            # The job will be refused once all is counted, and NaN has no moments.
            return replace(ExactSums.empty(job, data), counts=counts)
        n, w_N = block.num_train, block.w_N
        parts = []
        for rows in (slice(0, n), slice(n, None)):
            x, y = block.x_ND[rows].to(worker.device), block.y_NK[rows].to(worker.device)
            w = None if w_N is None else w_N[rows].to(worker.device)
            moments = Moments.from_block(x, y, w, feature_names=features, target_names=targets)
            parts.append(moments.to("cpu"))
        return ExactSums(counts, *parts)

    def empty() -> ExactSums:
        return ExactSums.empty(job, data)

    lanes = collect_by_lane(worker, job, lambda order: data.store.map(sum_one, order), empty, log, "solve")
    counts = RowCounts()
    for lane in lanes:
        counts.merge(lane.counts)
    check_counts(job, counts)
    shift = torch.from_numpy(np.concatenate([data.shift.x_D, data.shift.y_K]))
    merged = [
        merge_all(part) for part in ([lane.train for lane in lanes], [lane.validation for lane in lanes])
    ]
    check_weight(job, counts, float(merged[0].sum_w))
    for moments in merged:
        moments.shift = moments.shift + shift  # from block units to the files': a shift is all that differs
    return ExactSums(counts, *merged)


def fit_exactly(
    worker: Worker, job: TrainJob, data: OpenData, sums: ExactSums, log: MetricsLog, read_s: float
) -> Fit:
    """Solve from the moments, with a second pass where they are not enough; the same on every worker."""
    started = time.perf_counter()
    solution = _solve(job, sums.train)
    passes, reason = 1, solution.tsqr_reason
    if reason is not None:
        solution = _solve(job, _gather_factor(worker, job, data, sums.train, log))
        passes = 2
    elapsed = time.perf_counter() - started
    return Fit(
        solution.coef,
        solution.intercept,
        epochs=passes,
        stopped="solved exactly" if passes == 1 else f"solved exactly by QR: {reason}",
        choices={
            "method": solution.method,
            "standardize": job.standardize,
            "condition_number": _finite(solution.condition_number),
            "relative_gradient": float(np.max(solution.relative_gradient)),
            "rank": solution.rank,
            "constant_columns": list(solution.constant),
            "collinear_columns": {name: list(others) for name, others in solution.collinear.items()},
        },
        rows_per_s=sums.counts.train / (read_s + elapsed),
        train_s=elapsed,
        documents={"inference": inference_document(solution, job.spec.data.weight_type)},
    )


def _solve(job: TrainJob, source: Moments | RFactor) -> Solution:
    model = job.spec.model
    return solve(source, l2=model.l2, fit_intercept=model.fit_intercept, standardize=job.standardize)


@dataclass
class _FactorPart:
    """An R factor that merges like the other parts of a pass."""

    factor: RFactor

    def merge(self, other: _FactorPart) -> None:
        self.factor.merge_(other.factor)


def _gather_factor(
    worker: Worker, job: TrainJob, data: OpenData, moments: Moments, log: MetricsLog
) -> RFactor:
    """Combine the QR factors of all training rows of all workers, in the units of the files."""
    shift = torch.from_numpy(np.concatenate([data.shift.x_D, data.shift.y_K]))
    like = replace(moments, shift=moments.shift - shift)

    def factor_one(index: int) -> _FactorPart:
        block = data.store.load(index)
        part = RFactor.empty(like)
        w_N = None if block.w_N is None else block.w_N[: block.num_train]
        part.accumulate(block.x_ND[: block.num_train], block.y_NK[: block.num_train], w_N)
        return _FactorPart(part)

    def empty() -> _FactorPart:
        return _FactorPart(RFactor.empty(like))

    lanes = collect_by_lane(worker, job, lambda order: data.store.map(factor_one, order), empty, log, "solve")
    factor = merge_factors([lane.factor for lane in lanes])
    factor.shift = factor.shift + shift
    return factor


def _moment_metrics(moments: Moments, fit: Fit) -> dict[str, Any] | None:
    """Return MSE, RMSE and R² of a model on the rows behind ``moments``; None for no rows.

    With v = (-β, 1) the residual y - xᵀβ - b has the sum of squares vᵀCv + Σw·(mean residual)².
    """
    if moments.sum_w <= 0.0:
        return None
    features = moments.num_features
    each = []
    cross, mean = _numpy(moments.cross), _numpy(moments.mean)
    for k in range(moments.num_targets):
        index = [*range(features), features + k]
        v = np.append(-fit.coef_KD[k], 1.0)
        residual_mean = mean[features + k] - mean[:features] @ fit.coef_KD[k] - fit.intercept_K[k]
        squared = float(v @ cross[np.ix_(index, index)] @ v) + moments.sum_w * residual_mean**2
        mse = max(squared, 0.0) / moments.sum_w
        total = float(cross[features + k, features + k]) / moments.sum_w
        each.append(
            {"mse": mse, "rmse": mse**0.5, "mae": None, "r2": 1.0 - mse / total if total > 0.0 else None}
        )
    if len(each) == 1:
        return each[0]
    known = [item["r2"] for item in each if item["r2"] is not None]
    mean_mse = float(np.mean([item["mse"] for item in each]))
    return {
        "mse": mean_mse,
        "rmse": float(np.mean([item["rmse"] for item in each])),
        "mae": None,
        "r2": float(np.mean(known)) if known else None,
        "per_target": dict(zip(moments.target_names, each, strict=True)),
    }


def _numpy(tensor: torch.Tensor) -> Vector:
    return np.asarray(tensor.cpu().numpy(), dtype=np.float64)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
