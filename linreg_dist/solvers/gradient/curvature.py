"""Curvature of the unit-scale problem, measured on a sample of rows: what a step size is chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from linreg_dist.training.rows.scaling import AffineScale
from linreg_dist.training.training import Training

_SAMPLE_ROWS, _SAMPLE_GROUPS = 16_384, 12


@dataclass(frozen=True)
class Curvature:
    """How steep the unit-scale problem is, measured on a sample of rows.

    Attributes:
        largest_eigenvalue: of the second-moment matrix H = E[z zᵀ] with the constant column, if there is an
            intercept.
        row_bound: R² = E‖z‖⁴ / E‖z‖², the size of a typical row against H.
        total: Σ‖z‖² over the sample.
        num_rows: rows in the sample.

    """

    largest_eigenvalue: float
    row_bound: float
    total: float
    num_rows: int

    @classmethod
    def measure(cls, z_ND: torch.Tensor, *, fit_intercept: bool) -> Curvature:
        """Measure on the rows of ``z_ND`` (unit-scale features, float64)."""
        if fit_intercept:
            z_ND = torch.cat([z_ND, torch.ones(z_ND.shape[0], 1, dtype=z_ND.dtype)], dim=1)
        n = z_ND.shape[0]
        norms = z_ND.square().sum(1)
        total = float(norms.sum())
        if total == 0.0:
            return cls(0.0, 0.0, 0.0, n)
        largest = float(torch.linalg.eigvalsh(z_ND.t() @ z_ND / n)[-1])
        return cls(largest, float(norms.square().sum()) / total, total, n)

    @classmethod
    def pooled(cls, parts: Sequence[Curvature]) -> Curvature:
        """Return a bound for all samples together: the mean of convex λ_max is at least λ_max of the mean.

        Where there is nothing to measure, the curvature is 1.
        """
        n, total = sum(part.num_rows for part in parts), sum(part.total for part in parts)
        if total == 0.0:
            return cls(1.0, 1.0, 0.0, n)
        largest = sum(part.largest_eigenvalue * part.num_rows for part in parts) / n
        return cls(largest, sum(part.row_bound * part.total for part in parts) / total, total, n)


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
        x = torch.from_numpy(block.x_ND[: min(block.num_train, num_rows)]).double()
        return Curvature.measure((x - mean) / spread, fit_intercept=job.spec.model.fit_intercept)

    ours = [index for index in chosen if index in mine]
    everyone: dict[int, Curvature] = {}
    for found in training.worker.gather(dict(zip(ours, data.store.map(measure_one, ours), strict=True))):
        everyone |= found
    return Curvature.pooled([everyone[index] for index in chosen])
