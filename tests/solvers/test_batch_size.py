"""`global_batch_size: auto`: chosen by steps that ran, revised where they surprise, and without a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.kernels.choice import VARIABLE
from linreg_dist.run.finished_run import Run
from linreg_dist.solvers.gradient.batch_size import FIXED_SHARE, bounds, choose_by_time
from tests.parquet import linear_columns, write_parquet


@given(st.integers(1, 10**12), st.floats(0, 1), st.floats(1.0, 1e12))
def test_the_fixed_part_is_a_tenth_of_a_step_within_64_to_1024_steps(
    rows: int, fixed_s: float, rows_per_s: float
) -> None:
    found = choose_by_time(rows, lambda batch: fixed_s + batch / rows_per_s)
    fewest, most = bounds(rows)
    assert fewest <= found.batch <= most
    if found.batch < most and fixed_s < 1e3 * fewest / rows_per_s:
        assert found.cost.fixed_share(found.batch) <= FIXED_SHARE * (1 + 1e-3)


def test_where_a_step_has_a_high_price_there_are_as_few_as_auto_takes() -> None:
    """Four workers with 8 ms a step, which a timing without the exchange put at a tenth of that."""
    found = choose_by_time(16_000_000, lambda batch: 8e-3 + batch / 20e6)
    assert found.batch == 250_000
    assert "64 steps an epoch are the fewest" in found.reason


def test_a_cheap_step_is_taken_often() -> None:
    found = choose_by_time(16_000_000, lambda batch: 5e-6 + batch / 80e6)
    assert found.batch == 16_000_000 // 1024
    assert "1,024 steps an epoch are the most" in found.reason


def test_a_choice_that_runs_slower_than_expected_is_revised_and_says_so() -> None:
    def step_s(batch: int) -> float:
        return 1e-4 + batch / 100e6 + (2e-3 if 20_000 < batch < 200_000 else 0.0)

    found = choose_by_time(16_000_000, step_s)
    assert 20_000 < found.first < 200_000
    assert found.batch > found.first
    assert f"{found.first:,} rows took" in found.reason


def test_the_clock_decides_nothing_where_there_are_few_rows() -> None:
    assert bounds(1000) == bounds(2000) == (32, 32)
    assert bounds(20) == (20, 20)
    assert bounds(8000) == (32, 125)


def test_a_clock_that_knows_no_difference_is_no_matter() -> None:
    assert choose_by_time(10**6, lambda batch: 0.0).batch >= 1
    assert choose_by_time(10**6, lambda batch: 1e-3).batch == 10**6 // 64
    assert choose_by_time(10**6, lambda batch: 1.0 / batch).batch == 10**6 // 64


@pytest.mark.parametrize("kernels", ["plain", "native"])
@pytest.mark.parametrize(
    ("model", "solver"),
    [
        ({}, {"name": "sgd"}),
        ({"l1": 0.01, "l2": 0.1}, {"name": "adam"}),
        ({"loss": "huber"}, {"name": "sgd", "momentum": 0.5, "learning_rate": 0.01}),
    ],
)
def test_the_steps_that_were_timed_leave_no_trace(
    tmp_path: Path,
    train_here: Callable[..., Run],
    monkeypatch: pytest.MonkeyPatch,
    kernels: str,
    model: dict[str, Any],
    solver: dict[str, Any],
) -> None:
    monkeypatch.setenv(VARIABLE, kernels)
    path = write_parquet(tmp_path / "d" / "a.parquet", linear_columns(8000, 3), row_group_size=1000)
    sections = {"model": model, "outputs": {"report": False}}
    auto = train_here(path, name="auto", solver={**solver, "epochs": 2}, **sections)
    said = auto.result["solver"]
    assert said["batch_size_reason"]
    assert said["batch_size_first_chosen"] >= 32
    named = {**solver, "epochs": 2, "global_batch_size": said["global_batch_size"]}
    again = train_here(path, name="named", solver=named, **sections)
    np.testing.assert_array_equal(again.model.coef_, auto.model.coef_)
    assert "batch_size_reason" not in {key for key, value in again.result["solver"].items() if value}


@pytest.mark.slow
@pytest.mark.usefixtures("light_workers")
@pytest.mark.parametrize("sync_every", [1, 4])
def test_workers_choose_alike_and_leave_no_trace(
    tmp_path: Path, train_here: Callable[..., Run], sync_every: int
) -> None:
    path = write_parquet(tmp_path / "d" / "a.parquet", linear_columns(8000, 3), row_group_size=1000)
    sections = {"outputs": {"report": False}, "scaling": {"num_workers": 2}}
    solver = {"name": "sgd", "epochs": 2, "sync_every": sync_every, "learning_rate": 0.05}
    auto = train_here(path, name="auto", solver=solver, **sections)
    batch = auto.result["solver"]["global_batch_size"]
    named = train_here(path, name="named", solver={**solver, "global_batch_size": batch}, **sections)
    np.testing.assert_array_equal(named.model.coef_, auto.model.coef_)
