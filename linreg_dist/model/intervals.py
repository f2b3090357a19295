"""Intervals of predictions, from the covariance of the coefficients.

For a row x with prediction ŷ and a level such as 0.95, with the covariance V of the coefficients, the
residual variance σ² and the quantile q of t (of the normal distribution for robust covariances, as
statsmodels has it):

    mean of rows like it    ŷ ± q·√v,        v = zᵀ V z,  z = (1, x)
    one observation         ŷ ± q·√(v + σ²),              of weight 1

The form is that of statsmodels' ``get_prediction`` (``mean_ci_*`` and ``obs_ci_*``). With an intercept, v is
summed around the means of the training rows, where far-off offsets cost no digits.

Shape suffixes: N rows, D encoded columns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

from linreg_dist.errors import SpecError
from linreg_dist.model.linear_model import LinearModel

Array = npt.NDArray[np.float64]

_SLICE = 16_384  # rows at a time: x·V of a slice stays small
_SAME = 1e-9  # of a constant column's value: as far as sums tell


@dataclass(frozen=True)
class _TargetInterval:
    """Of one target: v = at_means + 2·(x - means)·slope + (x - means)ᵀ V (x - means)."""

    means_D: Array
    at_means: float
    slope_D: Array
    covariance_DD: Array
    quantile: float
    sigma: float
    constant_D: npt.NDArray[np.bool_]

    def half_widths(self, x_ND: Array) -> tuple[Array, Array]:
        """Return half the widths of both intervals, (N,) each; NaN where a feature is missing, or where one
        that was constant in training has another value.
        """
        variance_N = np.empty(len(x_ND))
        for start in range(0, len(x_ND), _SLICE):
            rows = slice(start, start + _SLICE)
            off_ND = x_ND[rows] - self.means_D
            variance_N[rows] = self.at_means + np.einsum(
                "nd,nd->n", off_ND @ self.covariance_DD + 2.0 * self.slope_D, off_ND
            )
            if self.constant_D.any():
                far_ND = np.abs(off_ND) > _SAME * (1.0 + np.abs(self.means_D))
                variance_N[rows][far_ND[:, self.constant_D].any(axis=1)] = np.nan
        np.maximum(variance_N, 0.0, out=variance_N)
        return (
            self.quantile * np.sqrt(variance_N),
            self.quantile * np.sqrt(variance_N + self.sigma**2),
        )


class Intervals:
    """Intervals of a model's predictions.

    Args:
        model: with its covariance.
        level: of confidence, between 0 and 1.

    Raises:
        SpecError: the level is none, or the model has no covariance; the message says why.

    """

    def __init__(self, model: LinearModel, level: float) -> None:
        if not 0.0 < level < 1.0:
            raise SpecError(
                f"--interval {level:g} is no level of confidence; expected one between 0 and 1: 0.95"
            )
        self._targets = {target: _interval_of(model, target, level) for target in model.targets}

    @property
    def names(self) -> tuple[str, ...]:
        """What the columns of intervals are called; of several targets each with its own."""
        several = len(self._targets) > 1
        prefixes = [f"prediction_{target}" if several else "prediction" for target in self._targets]
        return tuple(f"{prefix}_{end}" for prefix in prefixes for end in _ENDS)

    def bounds(self, x_ND: Array, predicted_NK: Array) -> list[Array]:
        """Return the columns that `names` names, (N,) each; NaN where there is no prediction.

        Args:
            x_ND: the design matrix.
            predicted_NK: what the model predicts from it.

        """
        found: list[Array] = []
        for k, interval in enumerate(self._targets.values()):
            predicted_N = predicted_NK[:, k]
            for half_N in interval.half_widths(x_ND):
                found += [predicted_N - half_N, predicted_N + half_N]
        return found


_ENDS = ("mean_low", "mean_high", "low", "high")


def _interval_of(model: LinearModel, target: str, level: float) -> _TargetInterval:
    try:
        covariance_QQ = model.cov_params(target)
    except SpecError as error:
        raise SpecError(f"--interval needs standard errors: {error}") from error
    inference = model.details.inference
    found = inference.targets.get(target) if inference else None
    sigma = found.fit.get("sigma") if found else None
    if inference is None or sigma is None:
        raise SpecError(
            "--interval needs the residual variance, which the config.json of this model lacks; train again"
        )
    tail = (1.0 - level) / 2.0
    quantile = -special.ndtri(tail) if inference.df is None else -special.stdtrit(inference.df, tail)
    scaling, width = model.details.scaling, model.encoding.num_encoded
    first = int(model.details.fit_intercept)
    constant_D = np.isnan(np.diagonal(covariance_QQ)[first:])
    covariance_QQ = np.nan_to_num(covariance_QQ, nan=0.0)
    covariance_DD = covariance_QQ[first:, first:]
    means_D, at_means, slope_D = np.zeros(width), 0.0, np.zeros(width)
    if first:
        if scaling is not None:
            means_D = np.array([0.0 if mean is None else mean for mean in scaling.x_mean])
        along_D = covariance_DD @ means_D
        slope_D = covariance_QQ[0, 1:] + along_D
        # Sums of large terms of both signs: exactly added, so that only the digits of V itself count.
        products = [2.0 * means_D * covariance_QQ[0, 1:], means_D * along_D]
        at_means = math.fsum([covariance_QQ[0, 0], *np.concatenate(products).tolist()])
    return _TargetInterval(
        means_D, at_means, slope_D, covariance_DD, float(quantile), float(sigma), constant_D
    )
