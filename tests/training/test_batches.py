"""The rows of each step, taken by simulated workers from their lanes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from linreg_dist.data.block import BlockBuilder, Shift
from linreg_dist.data.cache import BlockCache
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.data.plan import deal_lanes, lanes_of_worker, num_lanes, num_steps, plan_epoch
from linreg_dist.data.store import BlockStore
from linreg_dist.solvers.gradient.batches import epoch_batches
from linreg_dist.training.rows.device import DeviceRows, rows_of
from tests.data.reading import Opened, open_data_set
from tests.parquet import write_parquet

CPU = "cpu"


def numbered(num_rows: int, start: int) -> dict[str, np.ndarray]:
    y = np.arange(start, start + num_rows, dtype=np.float64)
    return {"x": y + 0.5, "y": y}


@pytest.fixture
def opened(tmp_path) -> Opened:
    """Uneven files: many row groups, one of one row, an empty one, and some rows held out."""
    write_parquet(tmp_path / "a.parquet", numbered(500, 0), row_group_size=37)
    write_parquet(tmp_path / "b.parquet", numbered(1, 500))
    write_parquet(tmp_path / "c.parquet", numbered(0, 0))
    write_parquet(tmp_path / "d.parquet", numbered(90, 501))
    return open_data_set(tmp_path, validation={"method": "hash", "fraction": 0.2})


def store_of(opened: Opened, *, shuffle: bool, num_threads: int = 2) -> BlockStore:
    builder = BlockBuilder(
        opened.manifest,
        opened.columns,
        opened.spec,
        Encoding((NumericColumn("x"),)),
        Shift(np.zeros(1), np.zeros(1)),
        dtype=np.float64,
        shuffle=shuffle,
        seed=0,
    )
    cache = BlockCache(0, 0, Path("unused"))
    return BlockStore(opened.manifest, builder, cache, num_threads=num_threads)


def batches(opened: Opened, world_size: int, *, epoch=0, steps=13, shuffle=True, first_step=0, lanes=None):
    """Return for each step the target values (they number the rows) that each worker contributes."""
    lanes = lanes or num_lanes(opened.manifest, 1, 8)
    plan = plan_epoch(
        opened.manifest,
        deal_lanes(opened.manifest, lanes),
        epoch=epoch,
        steps=steps,
        shuffle=shuffle,
        seed=0,
    )
    by_step: list[list[list[float]]] = [[] for _ in range(steps)]
    for rank in range(world_size):
        with store_of(opened, shuffle=shuffle) as store:
            mine = lanes_of_worker(lanes, rank, world_size)
            taken = list(epoch_batches(store, plan, mine, DeviceRows(CPU, None), first_step))
        assert len(taken) == steps - first_step, "every worker takes part in every step"
        for step, pieces in enumerate(taken, start=first_step):
            for rows in pieces:
                np.testing.assert_array_equal(rows.x_ND[:, 0], rows.y_NK[:, 0] + 0.5)
            by_step[step].append([y for rows in pieces for y in rows.y_NK[:, 0].tolist()])
    return by_step


def unions(by_step) -> list[Counter[float]]:
    return [Counter(y for worker in workers for y in worker) for workers in by_step]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("world_size", [2, 3, 7, 12])
def test_the_rows_of_a_step_do_not_depend_on_the_number_of_workers(opened, world_size, shuffle):
    alone = unions(batches(opened, 1, shuffle=shuffle))
    assert unions(batches(opened, world_size, shuffle=shuffle)) == alone


@pytest.mark.parametrize("world_size", [1, 3])
@pytest.mark.parametrize("steps", [1, 13, 200, 700])
def test_an_epoch_uses_every_training_row_once_and_no_other(opened, world_size, steps):
    used = sum(unions(batches(opened, world_size, steps=steps)), Counter())
    train = opened.values("y", "train")
    assert used == Counter(train)
    assert len(train) < 591


def test_steps_are_near_the_batch_size(opened):
    train = len(opened.values("y", "train"))
    steps = num_steps(train, 40)
    sizes = [sum(rows.values()) for rows in unions(batches(opened, 1, steps=steps))]
    assert np.mean(sizes) <= 40
    assert max(sizes) <= 60
    assert min(sizes) >= 20


def test_more_workers_than_row_groups_leave_some_without_rows(opened):
    by_step = batches(opened, 30)
    assert [step[29] for step in by_step] == [[]] * 13
    assert unions(by_step) == unions(batches(opened, 1))


@pytest.mark.parametrize("first_step", [1, 6, 12, 13])
@pytest.mark.parametrize("world_size", [1, 2, 5])
def test_a_resumed_epoch_has_the_steps_that_were_left_for_any_workers(opened, first_step, world_size):
    whole = unions(batches(opened, 1))
    rest = unions(batches(opened, world_size, first_step=first_step))
    assert rest[first_step:] == whole[first_step:]


def test_every_epoch_mixes_the_rows_anew(opened):
    first, second = (unions(batches(opened, 1, epoch=epoch)) for epoch in (0, 1))
    assert sum(first, Counter()) == sum(second, Counter())
    assert first != second


def test_a_step_draws_from_all_over_the_data(opened):
    spans = [max(rows) - min(rows) for rows in unions(batches(opened, 1))]
    assert min(spans) > 300


def test_rows_on_the_cpu_are_views_of_the_block(opened):
    with store_of(opened, shuffle=False) as store:
        block = store.load(0)
    rows = rows_of(block, slice(3, 9), CPU)
    assert rows.x_ND.data_ptr() == block.x_ND[3:].ctypes.data
    assert rows.w_N is None
    assert rows.y_NK[:, 0].tolist() == block.y_NK[3:9, 0].tolist()


def test_an_epoch_holds_no_more_blocks_open_than_its_lanes_and_the_look_ahead(opened):
    lanes = 3
    plan = plan_epoch(
        opened.manifest, deal_lanes(opened.manifest, lanes), epoch=0, steps=50, shuffle=True, seed=0
    )
    peak = 0
    with store_of(opened, shuffle=True, num_threads=1) as store:
        real_open = store.open

        def watched(order):
            nonlocal blocks
            blocks = real_open(order)
            return blocks

        blocks = None
        store.open = watched
        for _ in epoch_batches(store, plan, range(lanes), DeviceRows(CPU, None)):
            peak = max(peak, len(blocks._pending))
    assert peak <= 2 * lanes + 1
    assert not blocks._pending
