from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.data.plan import (
    MAX_LANES,
    EpochPlan,
    Slice,
    deal_lanes,
    lanes_of_worker,
    num_lanes,
    num_steps,
    plan_epoch,
)
from linreg_dist.data.source.manifest import Manifest, ParquetFileInfo, RowGroup


def manifest_of(sizes: Sequence[int], validating: Sequence[int] = ()) -> Manifest:
    """One file per row group; those in ``validating`` only validate."""
    files = tuple(
        ParquetFileInfo(
            f"/f{i}", f"f{i}", 1, n, {}, pa.schema([]), "validation" if i in validating else "train", ""
        )
        for i, n in enumerate(sizes)
    )
    return Manifest(files, tuple(RowGroup(i, i, 0, 0, n, 8 * n) for i, n in enumerate(sizes)))


def make_plan(sizes, lanes, *, steps, shuffle=True, seed=0, epoch=0, validating=()) -> EpochPlan:
    manifest = manifest_of(sizes, validating)
    dealt = deal_lanes(manifest, lanes)
    return plan_epoch(manifest, dealt, epoch=epoch, steps=steps, shuffle=shuffle, seed=seed)


def rows_of_step(plan: EpochPlan, lanes, step, train_rows: dict[int, int]) -> list[tuple[int, int]]:
    """The ``(row group, row)`` that some lanes contribute to a step, in order."""
    return [
        (share.group, row)
        for lane in lanes
        for share in plan.slices(lane, step)
        for first, last in share.spans(train_rows[share.group])
        for row in range(first, last)
    ]


SIZES = st.lists(st.one_of(st.just(1), st.integers(1, 40)), min_size=1, max_size=30)


@given(
    sizes=SIZES,
    wanted_lanes=st.integers(1, 14),
    steps=st.integers(1, 90),
    world_size=st.sampled_from([1, 2, 3, 7]),
    shuffle=st.booleans(),
    seed=st.integers(0, 2**31),
    epoch=st.integers(0, 5),
    data=st.data(),
)
def test_every_training_row_is_used_once_an_epoch_whatever_the_workers(
    sizes, wanted_lanes, steps, world_size, shuffle, seed, epoch, data
):
    lanes = min(wanted_lanes, len(sizes))
    plan = make_plan(sizes, lanes, steps=steps, shuffle=shuffle, seed=seed, epoch=epoch)
    # how many rows of a group train is known only when it is decoded: from none to all
    train_rows = {i: data.draw(st.integers(0, n)) for i, n in enumerate(sizes)}
    used: Counter[tuple[int, int]] = Counter()
    for step in range(steps):
        together = rows_of_step(plan, range(lanes), step, train_rows)
        used.update(together)
        by_worker = [
            row
            for rank in range(world_size)
            for row in rows_of_step(plan, lanes_of_worker(lanes, rank, world_size), step, train_rows)
        ]
        assert sorted(by_worker) == sorted(together)
    assert used == Counter({(group, row): 1 for group, n in train_rows.items() for row in range(n)})


@given(sizes=SIZES, wanted_lanes=st.integers(1, 14), steps=st.integers(1, 90))
def test_steps_are_of_equal_size(sizes, wanted_lanes, steps):
    lanes = min(wanted_lanes, len(sizes))
    plan = make_plan(sizes, lanes, steps=steps)
    whole = dict(enumerate(sizes))
    counts = [len(rows_of_step(plan, range(lanes), step, whole)) for step in range(steps)]
    assert sum(counts) == sum(sizes)
    assert max(counts) - min(counts) <= lanes + 1


def test_steps_smaller_than_the_number_of_lanes_are_of_equal_size_too():
    plan = make_plan([100] * 12, 12, steps=300)
    counts = {len(rows_of_step(plan, range(12), step, dict.fromkeys(range(12), 100))) for step in range(300)}
    assert counts == {4}


@given(sizes=SIZES, wanted_lanes=st.integers(1, 14), steps=st.integers(1, 90), data=st.data())
def test_order_of_use_is_the_order_in_which_steps_need_the_row_groups(sizes, wanted_lanes, steps, data):
    lanes = min(wanted_lanes, len(sizes))
    plan = make_plan(sizes, lanes, steps=steps)
    first_step = data.draw(st.integers(0, steps))
    mine = lanes_of_worker(lanes, data.draw(st.integers(0, 2)), 3)
    first_needed: dict[int, int] = {}
    for step in range(first_step, steps):
        for lane in mine:
            for share in plan.slices(lane, step):
                first_needed.setdefault(share.group, step)
    order = plan.order_of_use(mine, first_step)
    assert len(order) == len(set(order))
    assert set(order) == set(first_needed)
    assert [first_needed[group] for group in order] == sorted(first_needed.values())


@given(sizes=SIZES, wanted_lanes=st.integers(1, 14), steps=st.integers(1, 90))
def test_the_slices_of_a_row_group_end_with_its_last_row(sizes, wanted_lanes, steps):
    lanes = min(wanted_lanes, len(sizes))
    plan = make_plan(sizes, lanes, steps=steps)
    ended: Counter[int] = Counter()
    for lane in range(lanes):
        open_at = dict.fromkeys(range(len(sizes)), 0)
        for step in range(steps):
            for share in plan.slices(lane, step):
                assert share.start == open_at[share.group]
                open_at[share.group] = share.stop
                ended[share.group] += share.stop == share.of
    assert ended == Counter(range(len(sizes)))


def test_each_epoch_and_seed_has_its_own_order_and_a_fixed_one_without_shuffling():
    sizes = [10] * 24

    def first_groups(**how):
        return make_plan(sizes, 4, steps=6, **how).lanes

    assert first_groups(epoch=0) == first_groups(epoch=0)
    assert first_groups(epoch=0) != first_groups(epoch=1)
    assert first_groups(seed=0) != first_groups(seed=1)
    assert first_groups(shuffle=False, epoch=0) == first_groups(shuffle=False, epoch=1, seed=9)
    assert first_groups(shuffle=False)[0] == ((0, 10), (4, 10), (8, 10), (12, 10), (16, 10), (20, 10))


def test_the_rows_of_a_row_group_come_in_another_order_each_epoch():
    def order(**how):
        return rows_of_step(make_plan([1000], 1, steps=1, **how), [0], 0, {0: 1000})

    top_to_bottom = [(0, row) for row in range(1000)]
    orders = [order(epoch=epoch) for epoch in range(5)]
    assert all(sorted(rows) == top_to_bottom for rows in orders)
    assert len({tuple(rows) for rows in [*orders, top_to_bottom]}) == 6
    assert order(shuffle=False) == top_to_bottom


@pytest.mark.parametrize("lanes", [1, 3, 5])
def test_row_groups_that_only_validate_are_in_no_step(lanes):
    plan = make_plan([5, 6, 7, 8, 9], lanes, steps=4, validating=(1, 4))
    used = {share.group for step in range(4) for lane in range(lanes) for share in plan.slices(lane, step)}
    assert used == {0, 2, 3}
    assert set(plan.order_of_use(range(lanes))) == used


@given(sizes=SIZES, lanes=st.integers(1, 14))
def test_row_groups_are_dealt_once_each_and_evenly(sizes, lanes):
    dealt = deal_lanes(manifest_of(sizes), lanes)
    assert sorted(index for groups in dealt for index in groups) == list(range(len(sizes)))
    assert all(list(groups) == sorted(groups) for groups in dealt)
    load = [sum(sizes[index] for index in groups) for groups in dealt]
    assert max(load) - min(load) <= max(sizes)


@given(lanes=st.integers(0, 50), world_size=st.integers(1, 60))
def test_workers_own_all_lanes_once_and_evenly(lanes, world_size):
    owned = [lanes_of_worker(lanes, rank, world_size) for rank in range(world_size)]
    assert sorted(lane for mine in owned for lane in mine) == list(range(lanes))
    assert max(map(len, owned)) - min(map(len, owned)) <= 1


@pytest.mark.parametrize(
    ("groups", "workers", "row_nbytes", "shards", "expected"),
    [
        (100, 1, 8, None, MAX_LANES),
        (100, 7, 8, None, MAX_LANES),
        (5, 1, 8, None, 5),
        (5, 7, 8, None, 5),
        (100, 20, 8, None, 20),
        (15, 20, 8, None, 15),
        (100, 1, 1 << 28, None, 4),
        (100, 1, 1 << 40, None, 1),
        (100, 1, 8, 24, 24),
        (10, 1, 8, 24, 10),
    ],
)
def test_the_number_of_lanes(groups, workers, row_nbytes, shards, expected):
    assert num_lanes(manifest_of([1] * groups), workers, row_nbytes, shards) == expected


def test_the_mean_step_has_at_most_the_batch_size():
    assert [num_steps(rows, 32) for rows in (1, 32, 33, 64, 65)] == [1, 1, 2, 2, 3]


@given(
    num_rows=st.integers(0, 50),
    cuts=st.lists(st.integers(0, 97), max_size=5),
    order=st.integers(1, 9).flatmap(lambda parts: st.permutations(range(parts))),
)
def test_adjoining_slices_share_the_rows_of_a_block_out(num_rows, cuts, order):
    edges = [0, *sorted(cuts), 97]
    rows = [
        row
        for start, stop in pairwise(edges)
        for first, last in Slice(0, start, stop, 97, tuple(order)).spans(num_rows)
        for row in range(first, last)
    ]
    bounds = [part * num_rows // len(order) for part in range(len(order) + 1)]
    assert rows == [row for part in order for row in range(bounds[part], bounds[part + 1])]


def test_the_spans_of_a_slice_are_never_empty_and_as_few_as_can_be():
    assert Slice(0, 0, 10, 10, (0, 1, 2)).spans(9) == [(0, 9)]
    assert Slice(0, 0, 10, 10, (2, 0, 1)).spans(9) == [(6, 9), (0, 6)]
    assert Slice(0, 3, 4, 10).spans(2) == []
    assert Slice(0, 0, 10, 10).spans(0) == []


@pytest.mark.parametrize(
    ("sizes", "row_elements", "parts"),
    [
        ([100_000] * 20, 128, 12),  # as many as are worth a sweep
        ([100_000] * 20, 32, 3),
        ([100_000] * 20, 1000, 16),  # enough is enough
        ([100] * 20, 8, 1),  # many small row groups are mixed by their own order
        ([100] * 3, 8, 6),  # few are not
        ([100], 8, 16),
    ],
)
def test_a_lane_has_parts_enough_to_permute_and_none_too_small_to_sweep(sizes, row_elements, parts):
    manifest = manifest_of(sizes)
    plan = plan_epoch(
        manifest, deal_lanes(manifest, 1), epoch=0, steps=4, shuffle=True, seed=0, row_elements=row_elements
    )
    assert {len(order) for order in plan.part_orders.values()} == {parts}
