"""The affine map between the columns as blocks hold them and the unit-scale problem the optimizers see.

With z = (x - m) / s and u = (y - p) / q the objective is well scaled whatever the units. The map is folded
into the weights for every sweep and out of the gradients, so no standardised copy of the data is ever made.

Shape suffixes: D encoded columns, K targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch

from linreg_dist.data.block import Shift
from linreg_dist.data.summary import BlockSummary

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)  # as a key it stands for itself
class AffineScale:
    """Means and scales, in the units of blocks (that is, after their shift was subtracted).

    Attributes:
        x_mean_D, x_scale_D: of the features.
        y_mean_K, y_scale_K: of the targets.

    """

    x_mean_D: Vector
    x_scale_D: Vector
    y_mean_K: Vector
    y_scale_K: Vector

    @classmethod
    def from_summary(
        cls,
        summary: BlockSummary,
        shift: Shift,
        *,
        standardize: bool,
        scale_target: bool,
        fit_intercept: bool,
    ) -> AffineScale:
        """Choose the map.

        Standardised: mean 0 and variance 1 (divisor Σw) over the training rows; a constant column keeps scale
        1 and so a zero gradient. Without an intercept nothing is centred, only scaled. Not standardised: the
        columns in their own units.

        ``scale_target`` divides the target by its spread as well, so that a step size can be chosen without
        looking at its units. A step size that the user chose is meant in the target's own units, as in a
        plain loop over standardised features.
        """
        ones_D, ones_K = np.ones_like(summary.x.mean), np.ones_like(summary.y.mean)
        if not standardize:
            return cls(-shift.x_D, ones_D, -shift.y_K, ones_K)
        x_scale = _nonzero(summary.x.std, summary.x.mean)
        y_scale = _nonzero(summary.y.std, summary.y.mean) if scale_target else ones_K
        if not fit_intercept:
            return cls(-shift.x_D, x_scale, -shift.y_K, y_scale)
        return cls(summary.x.mean, x_scale, summary.y.mean, y_scale)

    def to_blocks(self, weight_KD: torch.Tensor, bias_K: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the coefficients (D, K) and intercepts (K) that predict targets from features as blocks
        hold them.
        """
        x_mean, x_scale, y_mean, y_scale = self._tensors(weight_KD)
        coef_DK = (weight_KD / x_scale).t() * y_scale
        return coef_DK, bias_K * y_scale + y_mean - x_mean @ coef_DK

    def gradients(self, grad_DK: torch.Tensor, grad_K: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the unit-scale gradients (K, D) and (K) of 1/2 Σ w ((x·coef + b - y) / q)².

        Args:
            grad_DK: Σ w x r over rows, r the residual in block units.
            grad_K: Σ w r.

        """
        x_mean, x_scale, _, y_scale = self._tensors(grad_DK)
        centred_DK = grad_DK - x_mean[:, None] * grad_K
        return (centred_DK.t() / x_scale) / y_scale[:, None], grad_K / y_scale

    def to_original(
        self, weight_KD: torch.Tensor, bias_K: torch.Tensor, shift: Shift
    ) -> tuple[Vector, Vector]:
        """Return coefficients (K, D) and intercepts (K) in the units of the files."""
        coef_DK, intercept_K = self.to_blocks(weight_KD.double(), bias_K.double())
        coef = coef_DK.numpy()
        return np.ascontiguousarray(coef.T), intercept_K.numpy() + shift.y_K - shift.x_D @ coef

    def _tensors(self, like: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return _on_device(self, like.device)


@lru_cache(maxsize=4)
def _on_device(scale: AffineScale, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return the vectors as tensors; every step of an epoch wants the same ones."""
    vectors = (scale.x_mean_D, scale.x_scale_D, scale.y_mean_K, scale.y_scale_K)
    return tuple(torch.from_numpy(vector).to(device) for vector in vectors)


def _nonzero(std: Vector, mean: Vector) -> Vector:
    """Replace the spread of a column that is constant up to rounding by 1."""
    constant = std <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
    return np.where(constant, 1.0, std)
