"""K-fold cross-validation of penalties from one set of moments per fold: the data are not read again.

The training moments of a fold are those of all others merged; its validation error is a quadratic form in
its own::

    mse = (ȳ - b - β'x̄)² + (Syy - 2 β'Sxy + β'Sxxβ) / Σw

The spread over folds, weighted by their Σw, gives the standard error of the mean as glmnet computes it:
Friedman, Hastie and Tibshirani, "Regularization Paths …", J. Stat. Softw. 33 (2010); the
one-standard-error rule is in Hastie, Tibshirani and Friedman, The Elements of Statistical Learning (2nd
ed.), section 7.10.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from linreg_dist.documents import PenaltyDocument, Tune, TunePoint
from linreg_dist.errors import DataError, SpecError
from linreg_dist.stats.moments import Moments, merged_moments
from linreg_dist.stats.penalised import Penalty, penalised_path
from linreg_dist.stats.systems import Array


@dataclass(frozen=True)
class CrossValidation:
    """The validation error of L penalties over F folds, and the two choices that follow from it.

    Attributes:
        penalties: in the order asked for.
        fold_mse: (L, F); the mean over the targets when there are several.
        mean: (L,), weighted by the folds' Σw.
        std_err: (L,), of the mean.
        best: position of the penalty with the least mean.
        one_std_err: position of the largest penalty, of the l1_ratio of the best, whose mean is within one
            standard error of the best mean: the simplest model that cannot be told from the best.

    """

    penalties: tuple[Penalty, ...]
    fold_mse: Array
    mean: Array
    std_err: Array
    best: int
    one_std_err: int

    def curve(self) -> Tune:
        """Return the curve and its choice as a document."""
        chosen = self.penalties[self.one_std_err]
        return Tune(
            folds=self.fold_mse.shape[1],
            points=[
                TunePoint(
                    l1=penalty.l1,
                    l2=penalty.l2,
                    mse=float(self.mean[i]),
                    std_err=float(self.std_err[i]),
                    fold_mse=self.fold_mse[i].tolist(),
                )
                for i, penalty in enumerate(self.penalties)
            ],
            best=self.best,
            one_std_err=self.one_std_err,
            chosen=PenaltyDocument(l1=chosen.l1, l2=chosen.l2, rule="one standard error"),
        )


def penalties_of(strengths: Sequence[float], l1_ratios: Sequence[float] = (0.0,)) -> tuple[Penalty, ...]:
    """Return all combinations of strength and ratio: l1 = strength·ratio, l2 = strength·(1 - ratio).

    Raises:
        SpecError: a strength is negative or not finite, a ratio is outside 0 to 1, or a list is empty.

    """
    if not strengths or not l1_ratios or not all(0 <= ratio <= 1 for ratio in l1_ratios):
        raise SpecError(
            "a grid needs at least one strength and one l1_ratio from 0 to 1; "
            f"got strengths {list(strengths)} and l1_ratios {list(l1_ratios)}"
        )
    return tuple(Penalty(s * ratio, s * (1 - ratio)) for ratio in l1_ratios for s in strengths)


def cross_validate(
    folds: Sequence[Moments],
    penalties: Sequence[Penalty],
    *,
    fit_intercept: bool = True,
    standardize: bool = True,
) -> CrossValidation:
    """Return the cross-validated error of every penalty, from the moments of each fold.

    Every fold standardises with the deviations of its own training rows.

    Raises:
        SpecError: fewer than two folds, or no penalties.
        DataError: a fold has no weight (too few rows for so many folds), or the folds' columns differ.
        RunFailedError: coordinate descent did not converge.

    """
    if len(folds) < 2 or not penalties:
        raise SpecError(
            "cross-validation needs at least two folds and one penalty; "
            f"got {len(folds)} folds and {len(penalties)} penalties"
        )
    empty = [i for i, fold in enumerate(folds) if not fold.sum_w > 0]
    if empty:
        raise DataError(
            f"fold(s) {', '.join(map(str, empty))} of {len(folds)} have no rows or no weight; use fewer folds"
        )
    weight_F = np.array([fold.sum_w for fold in folds])
    mse_LF = np.empty((len(penalties), len(folds)))
    for i, fold in enumerate(folds):
        # Merging the others keeps every digit; subtracting the fold from the total would not.
        training = merged_moments([*folds[:i], *folds[i + 1 :]])
        path = penalised_path(training, penalties, fit_intercept=fit_intercept, standardize=standardize)
        mse_LF[:, i] = mean_squared_error(fold, path.coef, path.intercept).mean(axis=1)
    mean_L = mse_LF @ weight_F / weight_F.sum()
    variance_L = (mse_LF - mean_L[:, None]) ** 2 @ weight_F / weight_F.sum()
    std_err_L = np.sqrt(variance_L / (len(folds) - 1))
    best = int(np.argmin(mean_L))
    return CrossValidation(
        penalties=tuple(penalties),
        fold_mse=mse_LF,
        mean=mean_L,
        std_err=std_err_L,
        best=best,
        one_std_err=_one_standard_error(penalties, mean_L, float(mean_L[best] + std_err_L[best]), best),
    )


def mean_squared_error(moments: Moments, coef_LKP: Array, intercept_LK: Array) -> Array:
    """Return the weighted mean squared error, (L, K), of L linear models on the rows behind ``moments``.

    Its absolute error is about ε times the mean square of y; of a nearly perfect fit few digits are left.
    """
    p = moments.num_features
    cross_ZZ = moments.cross / moments.sum_w
    mean_Z = moments.mean
    bias_LK = mean_Z[p:] - intercept_LK - coef_LKP @ mean_Z[:p]
    # -2 β'Sxy + β'Sxxβ = Σ_j β_j (Sxxβ - 2 Sxy)_j
    half_LKP = coef_LKP @ cross_ZZ[:p, :p] - 2 * cross_ZZ[:p, p:].T
    spread_LK = np.diag(cross_ZZ)[p:] + np.einsum("lkp,lkp->lk", coef_LKP, half_LKP)
    return np.asarray(np.maximum(spread_LK, 0.0) + bias_LK**2)


def _one_standard_error(penalties: Sequence[Penalty], mean_L: Array, limit: float, best: int) -> int:
    def ratio(penalty: Penalty) -> float:
        return penalty.l1 / (penalty.l1 + penalty.l2) if penalty.l1 + penalty.l2 > 0 else math.nan

    chosen = best
    for i, penalty in enumerate(penalties):
        same_kind = math.isclose(ratio(penalty), ratio(penalties[best]), rel_tol=1e-9, abs_tol=1e-12)
        stronger = penalty.l1 + penalty.l2 > penalties[chosen].l1 + penalties[chosen].l2
        # Without any penalty there is no ratio: then every stronger one is the simpler model.
        if (same_kind or math.isnan(ratio(penalties[best]))) and stronger and mean_L[i] <= limit:
            chosen = i
    return chosen
