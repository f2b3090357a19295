"""The penalty of an exact fit: the spec's, or the one that cross-validation chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from linreg_dist.documents import Tune
from linreg_dist.jobspec import ModelSpec, TuneSpec
from linreg_dist.stats.crossval import cross_validate, penalties_of
from linreg_dist.stats.moments import Moments
from linreg_dist.stats.penalised import Penalty


@dataclass(frozen=True)
class PenaltyChoice:
    """A penalty, and the cross-validation curve behind it; None where nothing was tuned."""

    penalty: Penalty
    curve: Tune | None


def choose_penalty(
    model: ModelSpec, tune: TuneSpec | None, folds: Sequence[Moments], *, standardize: bool
) -> PenaltyChoice:
    """Return the spec's penalty, or with ``tune`` the largest one whose cross-validated error is within one
    standard error of the least.

    Raises:
        SpecError: there are fewer than two folds.
        DataError: a fold has no rows.
        RunFailedError: coordinate descent did not converge.

    """
    if tune is None:
        return PenaltyChoice(Penalty(model.l1, model.l2), None)
    penalties = penalties_of(tune.l2, tune.l1_ratio)
    found = cross_validate(folds, penalties, fit_intercept=model.fit_intercept, standardize=standardize)
    return PenaltyChoice(penalties[found.one_std_err], found.curve())
