"""Standard errors and fit statistics of an exact solution, from its statistics alone.

With X̃ = [1 X], W = diag(w) and C = (X̃'WX̃)⁻¹, the covariance of the coefficients is ::

    cov = σ² C,    σ² = Σ w e² / df,    df = n - rank(X̃)

What n is depends on what the weights mean:

- ``analytic``: a row's error has variance σ²/w (w is a precision). n counts the rows whose weight is
  positive: a row of weight zero says nothing, and would otherwise be counted as evidence. This is R's `lm`
  and, for positive weights, statsmodels' `WLS`. The log-likelihood has the term ½ Σ log w.
- ``frequency``: a row stands for w equal rows. n = Σ w: the same as repeating rows.

Inference does not exist where a penalty biases the coefficients, where features are combinations of others,
or where no degrees of freedom are left. Then `infer` returns a `Refusal` that says so.

Formulas: Greene, Econometric Analysis (8th ed.), chapters 4 and 5. AIC and BIC count the coefficients, not
σ, as statsmodels does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import scipy.linalg as sl
from scipy import special

from linreg_dist.errors import SpecError
from linreg_dist.stats.solve import Solution
from linreg_dist.stats.systems import Array
from linreg_dist.wording.names import intercept_name, some_names
from linreg_dist.wording.text import safe_name

WeightType = Literal["analytic", "frequency"]


@dataclass(frozen=True)
class Refusal:
    """Why something that was asked for does not exist."""

    reason: str


@dataclass(frozen=True)
class FitStatistics:
    """How well one target is fitted; None where a number does not exist.

    Attributes:
        target: name of the target.
        n: observations: rows, or Σw for frequency weights.
        df_model: independent features.
        df_resid: n minus the estimated coefficients.
        r2: share of Σ w (y - mean)² (about zero without an intercept) that is explained; None if y does not
            vary.
        adj_r2: r2 with both sums divided by their degrees of freedom.
        sigma: √(Σ w e² / df_resid).
        f: the F statistic of "all coefficients but the intercept are zero".
        f_p: its p value.
        log_likelihood: of the Gaussian model, at the maximum over σ.
        aic: -2 log-likelihood + 2 · coefficients.
        bic: -2 log-likelihood + log n · coefficients.
        condition_number: of the equilibrated design.
        reason: why sigma, f and what follows are None; None when they exist.

    """

    target: str
    n: float
    df_model: int
    df_resid: float
    r2: float | None
    adj_r2: float | None
    sigma: float | None
    f: float | None
    f_p: float | None
    log_likelihood: float | None
    aic: float | None
    bic: float | None
    condition_number: float
    reason: str | None


@dataclass(frozen=True)
class CoefficientTests:
    """Tests of the coefficients of one target; arrays have one entry per name, NaN for a constant feature.

    Attributes:
        target: name of the target.
        names: the intercept first when there is one (see `intercept_name`), then the features.
        estimate: the coefficients.
        std_err: their standard errors.
        statistic: estimate / std_err.
        p: two-sided p values.
        ci_low: lower end of the confidence interval.
        ci_high: upper end.
        covariance: (Q, Q).
        cov_type: "nonrobust", "HC0" … "HC3" or "cluster".
        df: degrees of freedom of the t distribution; inf means the normal distribution.
        alpha: the intervals have level 1 - alpha.
        wald_f: F statistic of "all coefficients but the intercept are zero" by this covariance; None
        without features. wald_f_p: its p value.

    """

    target: str
    names: tuple[str, ...]
    estimate: Array
    std_err: Array
    statistic: Array
    p: Array
    ci_low: Array
    ci_high: Array
    covariance: Array
    cov_type: str
    df: float
    alpha: float
    wald_f: float | None
    wald_f_p: float | None


def num_observations(solution: Solution, weight_type: WeightType = "analytic") -> float:
    """Return n by the rule of the weight type (see the module's docstring)."""
    if weight_type == "frequency":
        return solution.columns.sum_w
    return float(solution.columns.n - solution.columns.n_zero_weight)


def degrees_of_freedom(solution: Solution, weight_type: WeightType = "analytic") -> float:
    """Return n minus the number of independent coefficients, the intercept included."""
    return num_observations(solution, weight_type) - solution.rank - int(solution.columns.fit_intercept)


def refusal(solution: Solution, weight_type: WeightType = "analytic") -> Refusal | None:
    """Return why the coefficients have no standard errors, or None when they have."""
    if solution.l1 > 0 or solution.l2 > 0:
        return Refusal(
            f"the coefficients are penalised (l1 {solution.l1:g}, l2 {solution.l2:g}), hence biased: "
            "standard errors of a least-squares fit do not apply; fit without a penalty to get them"
        )
    if solution.singular:
        names = list(solution.collinear)
        shown = ", ".join(
            f"{safe_name(name)} ({some_names(solution.collinear[name])})"
            if solution.collinear[name]
            else name
            for name in names[:5]
        )
        return Refusal(
            f"{len(names)} feature(s) are combinations of others: {shown}{', …' if len(names) > 5 else ''}; "
            "single coefficients are not determined; leave these features out"
        )
    df = degrees_of_freedom(solution, weight_type)
    if df <= 0:
        n = num_observations(solution, weight_type)
        return Refusal(
            f"{n:g} observations leave {df:g} degrees of freedom after "
            f"{solution.rank + int(solution.columns.fit_intercept)} coefficients; at least one is needed"
        )
    if solution.factor is None:
        return Refusal(f"the method {solution.method} does not give standard errors")
    return None


def unscaled_root(solution: Solution) -> Array:
    """Return J, (Q, 1 + A or A), with J J' = (X̃'WX̃)⁻¹, in the order of `CoefficientTests.names`.

    The rows of constant features are NaN. Columns of X̃J are orthonormal under the weights; the robust
    covariances work in these coordinates. Only for a solution that `refusal` does not object to.
    """
    if solution.factor is None or solution.factor.rank < len(solution.factor.pivot):
        raise SpecError(f"a singular or {solution.method} solution has no (X'WX)⁻¹; see `refusal`")
    columns, factor = solution.columns, solution.factor
    num = len(factor.pivot)
    root_PA = np.full((len(columns.feature_names), num), np.nan)
    if num:
        inverse_AA = sl.solve_triangular(factor.r, np.eye(num)) / math.sqrt(columns.sum_w)
        row_scale_A = (factor.extra_scale * columns.active_scale)[factor.pivot]
        root_PA[columns.active[factor.pivot]] = inverse_AA / row_scale_A[:, None]
    if not columns.fit_intercept:
        return root_PA
    # cov(b) = 1/Σw + m'Cm and cov(b, β) = -Cm, as a root: [[1/√Σw, -m'T], [0, T]].
    active = columns.active
    top_A = -(columns.mean_x[active] @ root_PA[active])
    left_P = np.where(np.isnan(root_PA).any(axis=1), np.nan, 0.0) if num else np.full(len(root_PA), np.nan)
    return np.block(
        [[np.array([[1 / math.sqrt(columns.sum_w)]]), top_A[None, :]], [left_P[:, None], root_PA]]
    )


def variance_inflation(solution: Solution) -> Array | Refusal:
    """Return 1/(1 - R²_j) of each feature on the others, (P,); NaN for a constant feature.

    It is the diagonal of the inverse of the correlation matrix (of the uncentred one, without an intercept).
    """
    refused = None if not solution.singular and solution.factor is not None else refusal(solution)
    if refused is not None:
        return refused
    if solution.l2 > 0:
        return Refusal(
            "the factor is of a penalised system; variance inflation needs the fit without a penalty"
        )
    start = int(solution.columns.fit_intercept)
    root_PA = unscaled_root(solution)[start:, start:]
    return np.asarray((root_PA**2).sum(axis=1) * solution.columns.sum_w * solution.columns.scale**2)


def fit_statistics(solution: Solution, weight_type: WeightType = "analytic") -> tuple[FitStatistics, ...]:
    """Return the fit statistics of each target; see `FitStatistics` for the definitions."""
    refused = refusal(solution, weight_type)
    return tuple(
        _fit_statistics(solution, weight_type, k, refused) for k in range(len(solution.columns.target_names))
    )


def infer(
    solution: Solution, *, weight_type: WeightType = "analytic", alpha: float = 0.05
) -> tuple[CoefficientTests, ...] | Refusal:
    """Return the classical tests of each target's coefficients, or why there are none.

    Raises:
        SpecError: ``alpha`` is not between 0 and 1.

    """
    refused = refusal(solution, weight_type)
    if refused is not None:
        return refused
    root_QR = unscaled_root(solution)
    unscaled_QQ = root_QR @ root_QR.T
    df = degrees_of_freedom(solution, weight_type)
    return tuple(
        coefficient_tests(
            solution, k, unscaled_QQ * (residual / df), cov_type="nonrobust", df=df, df_f=df, alpha=alpha
        )
        for k, residual in enumerate(solution.residual_sum.tolist())
    )


def coefficient_tests(
    solution: Solution,
    k: int,
    covariance_QQ: Array,
    *,
    cov_type: str,
    df: float,
    df_f: float,
    alpha: float,
) -> CoefficientTests:
    """Return the tests of target ``k`` that follow from a covariance of its coefficients.

    Args:
        solution: where the estimates come from.
        k: position of the target.
        covariance_QQ: of [intercept, coefficients]; NaN rows for constant features.
        cov_type: its name, for the reader.
        df: degrees of freedom of t; inf for the normal distribution.
        df_f: denominator degrees of freedom of the Wald F test.
        alpha: 1 minus the level of the intervals.

    Raises:
        SpecError: ``alpha`` is not between 0 and 1.

    """
    if not 0 < alpha < 1:
        raise SpecError(f"alpha must lie between 0 and 1 (0.05 gives 95 % intervals), got {alpha}")
    names, estimate_Q = solution.columns.feature_names, solution.coef[k]
    if solution.columns.fit_intercept:
        names = (intercept_name(names), *names)
        estimate_Q = np.concatenate([solution.intercept[[k]], estimate_Q])
    std_err_Q = np.sqrt(np.diag(covariance_QQ))
    with np.errstate(divide="ignore", invalid="ignore"):
        statistic_Q = estimate_Q / std_err_Q
    if math.isinf(df):
        p_Q, quantile = 2 * special.ndtr(-np.abs(statistic_Q)), float(special.ndtri(1 - alpha / 2))
    else:
        p_Q = 2 * special.stdtr(df, -np.abs(statistic_Q))
        quantile = float(special.stdtrit(df, 1 - alpha / 2))
    wald_f, wald_f_p = _wald(solution, k, covariance_QQ, df_f)
    return CoefficientTests(
        target=solution.columns.target_names[k],
        names=names,
        estimate=estimate_Q,
        std_err=std_err_Q,
        statistic=statistic_Q,
        p=p_Q,
        ci_low=estimate_Q - quantile * std_err_Q,
        ci_high=estimate_Q + quantile * std_err_Q,
        covariance=covariance_QQ,
        cov_type=cov_type,
        df=df,
        alpha=alpha,
        wald_f=wald_f,
        wald_f_p=wald_f_p,
    )


def _wald(solution: Solution, k: int, covariance_QQ: Array, df: float) -> tuple[float | None, float | None]:
    """Return β'V⁻¹β/A over the usable features and its p value; None where V is not positive definite."""
    active = solution.columns.active + int(solution.columns.fit_intercept)
    if len(active) == 0:
        return None, None
    # In units of the standard errors the matrix is a correlation matrix, and its rank does not depend on
    # units.
    variance_A = np.diag(covariance_QQ)[active]
    if not (variance_A > 0).all():
        return None, None
    unit_A = np.sqrt(variance_A)
    scaled_A = solution.coef[k][solution.columns.active] / unit_A
    root_AA, info = sl.lapack.dpotrf(covariance_QQ[np.ix_(active, active)] / np.outer(unit_A, unit_A))
    if info != 0:
        return None, None
    whitened_A = sl.solve_triangular(root_AA, scaled_A, trans="T")
    statistic = float(whitened_A @ whitened_A) / len(active)
    return statistic, float(special.fdtrc(len(active), df, statistic))


def _fit_statistics(
    solution: Solution, weight_type: WeightType, k: int, refused: Refusal | None
) -> FitStatistics:
    residual, total = float(solution.residual_sum[k]), float(solution.total_sum[k])
    n = num_observations(solution, weight_type)
    num_coef = solution.rank + int(solution.columns.fit_intercept)
    df_total, df = n - int(solution.columns.fit_intercept), n - num_coef
    r2 = 1 - residual / total if total > 0 else None
    reason = refused.reason if refused else None
    if reason is None and total == 0:
        reason = f"the target {solution.columns.target_names[k]} does not vary"
    sigma = adj_r2 = f = f_p = log_likelihood = aic = bic = None
    if reason is None and r2 is not None:
        adj_r2 = 1 - (1 - r2) * df_total / df
        sigma = math.sqrt(residual / df)
        if solution.rank > 0 and residual > 0:
            f = (total - residual) / solution.rank / (residual / df)
            f_p = float(special.fdtrc(solution.rank, df, f))
        if residual > 0:
            log_likelihood = -n / 2 * (math.log(2 * math.pi * residual / n) + 1)
            if weight_type == "analytic":
                log_likelihood += solution.columns.sum_log_w / 2
            aic = -2 * log_likelihood + 2 * num_coef
            bic = -2 * log_likelihood + math.log(n) * num_coef
    return FitStatistics(
        target=solution.columns.target_names[k],
        n=n,
        df_model=solution.rank,
        df_resid=df,
        r2=r2,
        adj_r2=adj_r2,
        sigma=sigma,
        f=f,
        f_p=f_p,
        log_likelihood=log_likelihood,
        aic=aic,
        bic=bic,
        condition_number=solution.condition_number,
        reason=reason,
    )
