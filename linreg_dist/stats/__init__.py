"""Sufficient statistics and what follows from them, without reading the data again.

``moments`` (and ``kernel``, its hot loop) sum blocks of rows; ``artefact`` keeps the sums in a file;
``tsqr`` is the more accurate second pass. ``solve`` turns either into coefficients, by way of ``systems``;
``inference`` gives their standard errors, ``robust`` those that need a second pass; ``penalised`` (and
``lasso``) solves for penalties and ``crossval`` chooses one.
"""

from linreg_dist.stats.artefact import (
    Artefact,
    load_artefact,
    merge_artefacts,
    save_artefact,
    subtract_artefacts,
)
from linreg_dist.stats.crossval import CrossValidation, cross_validate, mean_squared_error, penalties_of
from linreg_dist.stats.inference import (
    CoefficientTests,
    FitStatistics,
    Refusal,
    fit_statistics,
    infer,
    variance_inflation,
)
from linreg_dist.stats.moments import Moments, merged_moments
from linreg_dist.stats.penalised import Path, Penalty, penalised_path, penalty_grid, solve_penalised
from linreg_dist.stats.robust import RobustMeat, robust_tests
from linreg_dist.stats.solve import Solution, solve
from linreg_dist.stats.tsqr import RFactor, merged_factors

__all__ = [
    "Artefact",
    "CoefficientTests",
    "CrossValidation",
    "FitStatistics",
    "Moments",
    "Path",
    "Penalty",
    "RFactor",
    "Refusal",
    "RobustMeat",
    "Solution",
    "cross_validate",
    "fit_statistics",
    "infer",
    "load_artefact",
    "mean_squared_error",
    "merge_artefacts",
    "merged_factors",
    "merged_moments",
    "penalised_path",
    "penalties_of",
    "penalty_grid",
    "robust_tests",
    "save_artefact",
    "solve",
    "solve_penalised",
    "subtract_artefacts",
    "variance_inflation",
]
