"""linreg_dist's exact solver: one pass over the rows, no learning rate, the optimum itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from benchmarks.contender import Contender, Grid, Outcome
from benchmarks.contenders.ours import job, train
from benchmarks.problems import Dataset

PENALTIES, FOLDS = 100, 5


def _run(dataset: Dataset, grid: Grid) -> Outcome:
    return train(job(dataset, grid, solver={"name": "exact"}), grid)


def _ridge(dataset: Dataset, grid: Grid) -> Outcome:
    outcome = train(job(dataset, grid, solver={"name": "exact"}, model={"l2": 0.01}), grid)
    return replace(outcome, note="l2 0.01, so its coefficients are not those of least squares")


def _tune(dataset: Dataset, grid: Grid) -> Outcome:
    strengths = np.geomspace(1e-6, 1.0, PENALTIES).tolist()
    tune = {"l2": strengths, "folds": FOLDS}
    outcome = train(job(dataset, grid, solver={"name": "exact"}, tune=tune), grid)
    return replace(outcome, note=f"{PENALTIES} penalties x {FOLDS} folds, and the fit with the one chosen")


CONTENDERS = (
    Contender("ours_exact", "linreg_dist, exact solver, num_workers 0, all cores", _run),
    Contender("ours_exact_ridge", "the same with an l2 penalty", _ridge),
    Contender("ours_tune", f"the same, l2 chosen among {PENALTIES} by {FOLDS}-fold cross-validation", _tune),
)
