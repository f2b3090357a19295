"""Huber's objective of a linear model on some rows, for the lines of epochs: no gradient, no step.

Shape suffixes: N rows, D encoded columns, K targets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linreg_dist.data.block import Block
from linreg_dist.jobspec import ModelSpec

Floats = npt.NDArray[np.float64]

_SLICE_ELEMENTS = 1 << 17  # 1 MiB of float64: between its uses a slice stays in the core's cache


@dataclass(frozen=True)
class HuberObjective:
    """Σ_k 1/(q² Σw) Σ w ρ(r), ρ(r) = r²/2 where |r| ≤ ε and ε(|r| - ε/2) beyond (Huber 1964, eq. 2.2), and a
    penalty.

    Attributes:
        epsilon_K: ε, in the units of the targets.
        unit_K: q, in which the objective measures the targets.
        penalty: of the model, in these units.

    """

    epsilon_K: Floats
    unit_K: Floats
    penalty: float

    @classmethod
    def of(cls, model: ModelSpec, scale_K: Floats, unit_K: Floats, weight_KD: Floats) -> HuberObjective:
        """Return the objective of a model.

        Args:
            model: of the job.
            scale_K: the scale of the residuals, in which ``huber_epsilon`` is measured.
            unit_K: see above.
            weight_KD: what is penalised, in the units of the targets.

        """
        own_KD = weight_KD / unit_K[:, None]
        lasso = float((np.abs(own_KD) / unit_K[:, None]).sum())
        penalty = model.l1 * lasso + model.l2 / 2 * float(np.square(own_KD).sum())
        return cls(model.huber_epsilon * scale_K, unit_K, penalty)

    def sums(self, rows: Block, coef_DK: Floats, intercept_K: Floats) -> Floats:
        """Return Σw and Σ w ρ(r) per target, (1 + K,), of all rows of a block."""
        width, targets = coef_DK.shape
        found = np.zeros(1 + targets)
        epsilon_K1 = self.epsilon_K[:, None]
        step = max(64, _SLICE_ELEMENTS // max(width, 1))
        for start in range(0, rows.num_rows, step):
            part = rows.part(slice(start, start + step))
            residual_KN = coef_DK.T @ part.x_ND.T.astype(np.float64)
            residual_KN += intercept_K[:, None] - part.y_NK.T
            slope_KN = np.clip(residual_KN, -epsilon_K1, epsilon_K1)
            # r ψ - ψ²/2 is ρ(r), with ψ the slope, inside of the band and beyond alike.
            loss_KN = slope_KN * (residual_KN - slope_KN / 2)
            w_N = np.ones(part.num_rows) if part.w_N is None else part.w_N.astype(np.float64)
            found[0] += w_N.sum()
            found[1:] += loss_KN @ w_N
        return found

    def value(self, sums: Floats) -> float | None:
        """Return the objective on the rows of these sums; None of no rows."""
        if sums[0] <= 0.0:
            return None
        return float((sums[1:] / self.unit_K**2).sum() / sums[0]) + self.penalty
