"""Many steps in one native call against the same steps one by one through autograd."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.data.plan import EpochPlan, Slice, merged_parts
from linreg_dist.kernels.choice import VARIABLE
from linreg_dist.kernels.pieces import plan_pieces
from linreg_dist.solvers.gradient import descent
from tests.parquet import linear_columns, write_parquet

CASES = {
    "sgd": {},
    "sgd with momentum and l1": {"solver": {"momentum": 0.9}, "model": {"l1": 0.01}},
    "sgd with proximal l1 and l2": {"model": {"l1": 0.05, "l2": 0.1}},
    "sgd with Huber's loss": {"model": {"loss": "huber"}},
    "sgd, averaged": {"solver": {"learning_rate": "auto"}},
    "adam with l1 and l2": {"solver": {"name": "adam"}, "model": {"l1": 0.01, "l2": 0.1}},
    "adamw": {"solver": {"name": "adamw", "schedule": "cosine"}, "model": {"l2": 0.1}},
    "rmsprop": {"solver": {"name": "rmsprop", "schedule": "inverse_scaling"}, "model": {"l2": 0.01}},
    "rmsprop with momentum": {"solver": {"name": "rmsprop", "momentum": 0.5}},
    "no intercept": {"model": {"fit_intercept": False}},
    "blocks that are not kept": {"scaling": {"memory_budget": 0}},
    "steps with few rows": {"solver": {"global_batch_size": 3, "epochs": 1}},
}


@pytest.mark.parametrize("case", CASES)
def test_the_weights_are_those_of_single_steps(tmp_path, train_here, monkeypatch, case):
    monkeypatch.setenv(VARIABLE, "native")
    columns = linear_columns(1500, 4)
    columns["w"] = np.random.default_rng(0).uniform(0, 2, 1500)
    columns["w"][100:160] = 0.0
    data = write_parquet(tmp_path / "a.parquet", columns, row_group_size=220)
    given_settings = dict(CASES[case])
    solver = {"name": "sgd", "epochs": 2, "learning_rate": 0.01, "global_batch_size": 90, "early_stop": None}
    given_settings["solver"] = {**solver, **given_settings.get("solver", {})}
    runs = []
    for kind in ("together", "singly"):
        if kind == "singly":
            monkeypatch.setattr(descent, "many_steps", lambda *_: None)
        validation = {"method": "hash", "fraction": 0.2, "seed": 0}
        run_dir = {"storage_path": str(tmp_path / kind)}
        parts = {"data": {"weight": "w", "validation": validation}, "run": run_dir}
        runs.append(train_here(data, **parts, **given_settings))
    together, singly = runs
    np.testing.assert_allclose(together.model.coef_, singly.model.coef_, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(together.model.intercept_, singly.model.intercept_, rtol=1e-11, atol=1e-12)
    for split in ("train", "validation"):
        assert together.metrics[split] == pytest.approx(singly.metrics[split], rel=1e-9)


@st.composite
def plans(draw: st.DrawFn) -> EpochPlan:
    rows = st.integers(1, 60)
    lanes, orders, index = [], {}, 0
    for _ in range(draw(st.integers(1, 4))):
        groups = []
        for _ in range(draw(st.integers(1, 4))):
            groups.append((index, draw(rows)))
            if draw(st.booleans()):
                orders[index] = tuple(draw(st.permutations(range(draw(st.integers(1, 5))))))
            index += 1
        lanes.append(tuple(groups))
    return EpochPlan(tuple(lanes), orders, draw(st.integers(1, 40)))


@given(plan=plans(), data=st.data())
@settings(max_examples=150, deadline=None)
def test_pieces_are_the_spans_of_the_plan(plan, data):
    first = data.draw(st.integers(0, plan.steps - 1))
    end = data.draw(st.integers(first + 1, plan.steps))
    train = {i: data.draw(st.integers(0, rows)) for lane in plan.lanes for i, rows in lane}
    lanes, groups, parts, blocks = [], [], [], []
    for number, lane in enumerate(plan.lanes):
        begin, start = len(groups), 0
        for index, rows in lane:
            merged = merged_parts(plan.part_orders.get(index, (0,)), train[index])
            groups.append([start, rows, len(parts), len(parts) + len(merged)])
            parts += merged
            blocks.append([index * 10_000, 0, 0, 0, 0, train[index], 1])
            start += rows
        lanes.append([start, number * plan.steps // len(plan.lanes), begin, len(groups)])
    tables = [np.array(t, dtype=np.int64).reshape(-1, n) for t, n in ((lanes, 4), (groups, 4), (parts, 2))]
    step_ptr = np.zeros(end - first + 1, dtype=np.int64)
    arguments = (plan.steps, first, end, *tables, np.array(blocks, dtype=np.int64))
    count = plan_pieces(*arguments, np.empty((0, 6), dtype=np.int64), step_ptr)
    pieces = np.zeros((max(count, 1), 6), dtype=np.int64)
    assert plan_pieces(*arguments, pieces, step_ptr) == count
    found = [
        [(int(p[0]), int(p[5])) for p in pieces[step_ptr[s] : step_ptr[s + 1]]] for s in range(end - first)
    ]

    def spans(share: Slice) -> list[tuple[int, int]]:
        return [(share.group * 10_000 + a, b - a) for a, b in share.spans(train[share.group])]

    wanted = [
        [
            span
            for lane in range(len(plan.lanes))
            for share in plan.slices(lane, step)
            for span in spans(share)
        ]
        for step in range(first, end)
    ]
    assert found == wanted
