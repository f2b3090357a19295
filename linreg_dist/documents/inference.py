"""The statistical half of result.json and config.json: penalties, cross-validation, tests of coefficients."""

from __future__ import annotations

from pydantic import Field

from linreg_dist.documents.base import Document


class PenaltyDocument(Document):
    """The weights of a penalty, and the rule that chose them, if one did."""

    l1: float = 0.0
    l2: float = 0.0
    rule: str | None = None


class TunePoint(PenaltyDocument):
    """The cross-validated error of one penalty."""

    mse: float
    std_err: float
    fold_mse: list[float] = Field(default_factory=list)


class Tune(Document):
    """A cross-validation: the penalties that were compared, the best and the chosen one by position."""

    folds: int
    points: list[TunePoint]
    best: int
    one_std_err: int
    chosen: PenaltyDocument | None = None


class CoefficientInference(Document):
    """The inference of one coefficient; None where it does not exist."""

    std_err: float | None = None
    t: float | None = None
    p: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    vif: float | None = None


class TargetInference(Document):
    """The tests by feature (the intercept under ``(intercept)``) and statistics of the fit, of one target."""

    tests: dict[str, CoefficientInference] = Field(default_factory=dict)
    fit: dict[str, float | None] = Field(default_factory=dict)


class Inference(Document):
    """The statistician's half of an exact fit.

    Attributes:
        reason: why there are no tests; None where there are.
        covariance: the kind of standard errors that was asked for.
        df: degrees of freedom of t, None for the normal distribution.
        targets: by name.

    """

    reason: str | None = None
    covariance: str | None = None
    df: float | None = None
    targets: dict[str, TargetInference] = Field(default_factory=dict)
