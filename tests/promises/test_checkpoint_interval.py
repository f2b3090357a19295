"""Wherever a job is cut off, starting it again repeats no more than the checkpoint interval.

A unit of work takes a second of a clock that nothing else moves, so what is asserted is a count of units.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linreg_dist as lr
from linreg_dist.solvers.gradient.optim import PenalisedOptimizer
from linreg_dist.solvers.lbfgs.descent import FullBatch
from linreg_dist.training.checkpoints.lane_keeper import LaneKeeper
from tests.parquet import linear_columns, write_parquet

INTERVAL_S = 3.0

SOLVERS: dict[str, tuple[type[Any], str, dict[str, Any]]] = {
    "sgd": (PenalisedOptimizer, "step", {"epochs": 3, "global_batch_size": 200}),
    "adam": (PenalisedOptimizer, "step", {"epochs": 3, "global_batch_size": 200}),
    "lbfgs": (FullBatch, "step", {"epochs": 3}),
    "exact": (LaneKeeper, "keep", {}),
}


class PowerCutError(Exception):
    """What no code of ours expects."""


class Work:
    """Counts units of work, lets each take a second, and cuts the power at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: type[Any], unit: str) -> None:
        self.done, self.cut_at, now_s = 0, -1, [0.0]
        whole = getattr(owner, unit)

        def counted(*args: Any, **options: Any) -> Any:
            if self.done == self.cut_at:
                raise PowerCutError
            result = whole(*args, **options)
            self.done += 1
            now_s[0] += 1.0
            return result

        monkeypatch.setattr(owner, unit, counted)
        monkeypatch.setattr(time, "monotonic", lambda: now_s[0])


@pytest.mark.parametrize("cut_at", [2, 3, 7, 11])
@pytest.mark.parametrize("solver", list(SOLVERS))
def test_a_run_that_is_started_again_repeats_at_most_the_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, solver: str, cut_at: int
) -> None:
    write_parquet(tmp_path / "rows.parquet", linear_columns(1400), row_group_size=100)
    owner, unit, options = SOLVERS[solver]
    spec = {
        "name": "whole",
        "data": {"path": str(tmp_path / "rows.parquet"), "target": "y"},
        "model": {"loss": "huber" if solver == "lbfgs" else "squared"},
        "solver": {"name": solver, **options},
        "run": {"storage_path": str(tmp_path / "runs"), "checkpoint_every_s": INTERVAL_S, "max_failures": 0},
    }
    work = Work(monkeypatch, owner, unit)
    whole = lr.train(spec)
    total = work.done
    assert total > cut_at

    work.done, work.cut_at = 0, cut_at
    with pytest.raises((PowerCutError, lr.LinregDistError)):
        lr.train(spec, {"name": "cut"})
    work.cut_at = -1
    run = lr.train(spec, {"name": "cut"})
    assert work.done - total <= INTERVAL_S
    np.testing.assert_array_equal(run.model.coef_, whole.model.coef_)
