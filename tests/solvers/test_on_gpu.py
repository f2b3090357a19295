"""Steps on a GPU against the same steps one by one through autograd: the CPU plays the GPU's part."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.data.plan import EpochPlan
from linreg_dist.errors import InterruptedRunError
from linreg_dist.kernels.choice import VARIABLE as KERNELS
from linreg_dist.solvers.gradient import descent
from linreg_dist.solvers.gradient.on_gpu import steps
from linreg_dist.solvers.gradient.on_gpu.order import most_rows_of_a_step, step_order
from linreg_dist.solvers.gradient.on_gpu.steps import in_chunks
from linreg_dist.training.rows.device import KeptBlock
from linreg_dist.training.rows.gpus import VARIABLE
from linreg_dist.training.rows.sweep import Rows
from tests.parquet import linear_columns, write_parquet
from tests.solvers.test_native_steps import CASES, plans

LARGE, SMALL = "1x1000000000", "1x20000"
NUMBER = itertools.count()


@pytest.fixture
def data(tmp_path):
    columns = linear_columns(1500, 4)
    columns["w"] = np.random.default_rng(0).uniform(0, 2, 1500)
    columns["w"][100:160] = 0.0
    return write_parquet(tmp_path / "a.parquet", columns, row_group_size=220)


@pytest.fixture
def train(tmp_path, train_here, data, monkeypatch):
    """Train with these settings on a GPU of this memory, or on the cores; rows are float32 either way."""
    monkeypatch.setenv(KERNELS, "plain")

    def run(memory, weight="w", **parts):
        if memory is None:
            monkeypatch.delenv(VARIABLE, raising=False)
        else:
            monkeypatch.setenv(VARIABLE, memory)
        solver = {"name": "sgd", "epochs": 2, "learning_rate": 0.01, "global_batch_size": 90}
        parts["solver"] = {**solver, "early_stop": None, **parts.get("solver", {})}
        parts["scaling"] = {"use_gpu": memory is not None, **parts.get("scaling", {})}
        parts["run"] = {"storage_path": str(tmp_path / f"run{next(NUMBER)}"), **parts.get("run", {})}
        validation = {"method": "hash", "fraction": 0.2, "seed": 0}
        return train_here(data, data={"weight": weight, "validation": validation}, **parts)

    return run


def assert_same(found, wanted):
    # Rows are float32, and on the device their sums are too.
    np.testing.assert_allclose(found.model.coef_, wanted.model.coef_, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found.model.intercept_, wanted.model.intercept_, rtol=2e-5, atol=2e-6)
    for split in ("train", "validation"):
        assert found.metrics[split] == pytest.approx(wanted.metrics[split], rel=2e-5)
    assert found.result["rows"] == wanted.result["rows"]


@pytest.mark.parametrize("case", CASES)
def test_the_weights_are_those_of_the_cores(train, case):
    wanted = train(None, **CASES[case])
    for memory in (LARGE, SMALL):
        assert_same(train(memory, **CASES[case]), wanted)


def test_rows_without_weights(train):
    wanted = train(None, weight=None)
    for memory in (LARGE, SMALL):
        assert_same(train(memory, weight=None), wanted)


def test_rows_that_fit_are_gathered_there_and_others_are_streamed(train, monkeypatch):
    taken = []
    for kind in (steps.ResidentRows, steps.StreamedRows):
        take = kind.take
        monkeypatch.setattr(
            kind, "take", lambda self, take=take, kind=kind: (taken.append(kind), take(self))[1]
        )
    train(LARGE)
    assert set(taken) == {steps.ResidentRows}
    taken.clear()
    train(SMALL)
    assert set(taken) == {steps.StreamedRows}


def test_a_run_on_small_memory_says_what_is_copied(train, caplog):
    caplog.set_level("INFO", logger="linreg_dist")
    train(SMALL)
    assert "do not all fit in the memory of the GPU: " in caplog.text


def test_a_step_that_does_not_fit_goes_in_parts(train, monkeypatch):
    whole = train(None, solver={"global_batch_size": 1500})
    monkeypatch.setattr(steps, "_CHUNK_ELEMENTS", 700)
    for memory in (LARGE, SMALL):
        assert_same(train(memory, solver={"global_batch_size": 1500}), whole)


@pytest.mark.parametrize("memory", [LARGE, SMALL])
def test_a_fit_that_is_cut_goes_on_with_the_same_weights(train, monkeypatch, tmp_path, memory):
    """After a few steps the run is interrupted, and every step before it left a checkpoint."""
    whole = train(memory, solver={"name": "adam"})
    taken = steps.DeviceSteps.run
    calls = itertools.count()

    def cut(self, *args):
        if next(calls) == 6:
            raise KeyboardInterrupt
        return taken(self, *args)

    folder = {"storage_path": str(tmp_path / "cut"), "checkpoint_every_s": 1e-9}
    monkeypatch.setattr(steps.DeviceSteps, "run", cut)
    with pytest.raises(InterruptedRunError):
        train(memory, solver={"name": "adam"}, run=folder)
    monkeypatch.setattr(steps.DeviceSteps, "run", taken)
    assert_same(train(memory, solver={"name": "adam"}, run=folder), whole)


@pytest.mark.parametrize("memory", [LARGE, SMALL])
def test_a_loss_that_is_not_finite_is_reported_at_its_step(train, memory):
    messages = []
    for place in (None, memory):
        with pytest.raises(Exception, match="training diverged in epoch") as raised:
            train(place, solver={"learning_rate": 1e200, "epochs": 3})
        messages.append(str(raised.value))
    assert messages[0] == messages[1]


@pytest.mark.slow  # torch's L-BFGS imports its compiler
@pytest.mark.parametrize("name", ["exact", "lbfgs"])
def test_the_other_solvers_find_the_same(train, name):
    solver = {"name": name, "learning_rate": "auto", "global_batch_size": "auto"}
    wanted = train(None, solver=solver)
    for memory in (LARGE, SMALL):
        assert_same(train(memory, solver=solver), wanted)


def test_the_batch_size_is_measured_there_too(train):
    run = train(LARGE, solver={"global_batch_size": "auto"})
    assert run.result["solver"]["batch_size_reason"]


def test_a_solver_by_single_steps_still_can(train, monkeypatch):
    whole = train(LARGE)
    monkeypatch.setattr(descent, "many_steps", lambda *_: None)
    assert_same(train(LARGE), whole)


@given(plan=plans(), data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_order_of_the_steps_is_that_of_the_plan(plan: EpochPlan, data: st.DataObject):
    first = data.draw(st.integers(0, plan.steps - 1))
    kept = {
        i: KeptBlock(i * 1000, rows + 5, data.draw(st.integers(0, rows)))
        for lane in plan.lanes
        for i, rows in lane
    }
    lanes = range(len(plan.lanes))
    order = step_order(plan, lanes, kept, first, torch.device("cpu"))
    found = [order.rows[order.begins[step] : order.begins[step + 1]].tolist() for step in range(plan.steps)]

    def wanted(step: int) -> list[int]:
        return [
            kept[share.group].start + row
            for lane in lanes
            for share in plan.slices(lane, step)
            for low, high in share.spans(kept[share.group].num_train)
            for row in range(low, high)
        ]

    assert found == [wanted(step) if step >= first else [] for step in range(plan.steps)]
    assert order.most_rows == max(map(len, found)) <= most_rows_of_a_step(plan, lanes)


@given(sizes=st.lists(st.integers(0, 9), max_size=8), room=st.integers(1, 7))
def test_chunks_hold_all_rows_in_order(sizes, room):
    ends = np.cumsum([0, *sizes])
    numbers = torch.arange(float(ends[-1]))[:, None]
    pieces = [Rows(numbers[a:b], numbers[a:b], None) for a, b in itertools.pairwise(ends)]
    chunks = [torch.cat([rows.x_ND for rows in chunk])[:, 0].tolist() for chunk in in_chunks(pieces, room)]
    assert [row for chunk in chunks for row in chunk] == numbers[:, 0].tolist()
    assert all(len(chunk) == room for chunk in chunks[:-1])
    assert all(0 < len(chunk) <= room for chunk in chunks)
