from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linreg_dist.data.block import Block
from linreg_dist.data.cache import BlockCache
from linreg_dist.data.rows import RowSelection
from linreg_dist.data.store import BlockStore, OpenBlocks, bounded_map
from linreg_dist.errors import DataError
from tests.data.test_plan import manifest_of

BLOCK_BYTES = 4 * 10 * 3  # ten rows of two features and a target in float32


class CountingBuilder:
    """Builds blocks that hold their row group's number, and remembers what it was asked for."""

    num_targets = 1
    native = False

    def __init__(self) -> None:
        self.built: list[int] = []

    def build(self, group: Any) -> tuple[Block, RowSelection]:
        self.built.append(group.index)
        if group.index == 13:
            raise DataError("row group 13 is unreadable")
        rows = np.arange(10)
        x = np.full((2, 10), float(group.index), dtype=np.float32).T
        return Block(x, np.zeros((1, 10), dtype=np.float32).T, None, 10), RowSelection(
            rows, rows[:0], 0, 0, {}
        )


@pytest.fixture
def builder() -> CountingBuilder:
    return CountingBuilder()


def store_of(builder, budget_blocks: float, num_threads: int = 2) -> BlockStore:
    manifest = manifest_of([10] * 20)
    cache = BlockCache(int(budget_blocks * BLOCK_BYTES), 0, Path("unused"))
    return BlockStore(manifest, builder, cache, num_threads=num_threads)


def test_blocks_within_the_budget_are_built_once(builder):
    with store_of(builder, budget_blocks=4) as store:
        for _ in range(3):
            assert [store.load(i).x_ND[0, 0].item() for i in range(4)] == [0.0, 1.0, 2.0, 3.0]
        assert builder.built == [0, 1, 2, 3]
        assert store.holds(range(4))
        assert not store.holds(range(5))


def test_a_kept_block_is_summed_as_the_builder_says(builder):
    with store_of(builder, budget_blocks=4) as store:
        assert not store.load(0).native
        builder.native = True  # as after a block came back from a file, which does not say so
        assert store.native
        assert store.load(0).native
        assert builder.built == [0]


def test_what_does_not_fit_the_budget_is_built_again(builder):
    with store_of(builder, budget_blocks=2.9) as store:
        for _ in range(2):
            for i in range(4):
                store.load(i)
        assert builder.built == [0, 1, 2, 3, 2, 3]


def test_without_a_budget_nothing_is_kept(builder):
    with store_of(builder, budget_blocks=0) as store:
        store.load(1)
        assert not store.holds([1])


def test_a_pass_gives_results_in_order(builder):
    with store_of(builder, budget_blocks=20, num_threads=4) as store:
        order = [5, 1, 9, 0, 7, 3, 2]
        assert list(store.map(lambda i: int(store.load(i).x_ND[0, 0]), order)) == order


def test_an_unreadable_row_group_is_an_error_of_the_pass(builder):
    with store_of(builder, budget_blocks=20) as store:
        results = store.map(store.load, [11, 12, 13, 14])
        assert int(next(results).x_ND[0, 0]) == 11
        next(results)
        with pytest.raises(DataError, match="13 is unreadable"):
            next(results)


def test_an_unreadable_row_group_is_an_error_where_it_is_taken(builder):
    with store_of(builder, budget_blocks=20) as store:
        blocks = store.open([12, 13])
        blocks.take(12)
        with pytest.raises(DataError, match="13 is unreadable"):
            blocks.take(13)


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_at_most_the_limit_is_in_flight(limit):
    lock, running, peak = threading.Lock(), 0, 0
    taken: list[int] = []

    def items():
        for item in range(30):
            taken.append(item)
            yield item

    def work(item: int) -> int:
        nonlocal running, peak
        with lock:
            running += 1
            peak = max(peak, running)
        time.sleep(0.001)
        with lock:
            running -= 1
        return item * item

    with ThreadPoolExecutor(8) as pool:
        results = bounded_map(pool, work, items(), limit)
        for number, result in enumerate(results):
            assert result == number * number
            assert len(taken) <= number + limit
    assert peak <= limit
    assert len(taken) == 30


def test_a_pass_that_is_given_up_starts_no_more():
    started: list[int] = []
    gate = threading.Event()

    def work(item: int) -> int:
        started.append(item)
        if item > 0:
            gate.wait(5.0)
        return item

    with ThreadPoolExecutor(1) as pool:
        results = bounded_map(pool, work, range(10), 4)
        assert next(results) == 0
        results.close()
        gate.set()
    assert started in ([0], [0, 1])


class Loader:
    """Loads a number as itself and remembers which were asked for."""

    def __init__(self) -> None:
        self.loaded: list[int] = []

    def __call__(self, index: int) -> int:
        self.loaded.append(index)
        return index


@pytest.mark.parametrize("look_ahead", [1, 2, 4])
def test_open_blocks_are_loaded_in_order_and_no_further_ahead_than_told(look_ahead):
    load, order = Loader(), [3, 1, 4, 0, 5, 9, 2, 6]
    with ThreadPoolExecutor(1) as pool:
        blocks = OpenBlocks(pool, load, order, look_ahead)
        for place, index in enumerate(order):
            assert blocks.take(index) == index
            assert blocks.take(index) == index, "a block stays open until it is released"
            pool.submit(lambda: None).result()
            assert load.loaded == order[: place + 1 + look_ahead]
            blocks.release(index)
    assert load.loaded == order


def test_a_released_block_is_let_go_of():
    with ThreadPoolExecutor(1) as pool:
        blocks = OpenBlocks(pool, Loader(), [0, 1], 1)
        blocks.take(0)
        blocks.release(0)
        with pytest.raises(KeyError):
            blocks.take(0)
        assert blocks.take(1) == 1


def test_no_row_groups_are_no_work():
    with ThreadPoolExecutor(1) as pool:
        load = Loader()
        OpenBlocks(pool, load, [], 3)
        assert list(bounded_map(pool, load, [], 3)) == []
    assert load.loaded == []


FIRST_PRODUCT = """
import os, torch
from linreg_dist.data.store import arithmetic_threads

def num_threads():
    return len(os.listdir("/proc/self/task"))

torch.set_num_threads(1)
x = torch.randn(33, 500_000).t()
with arithmetic_threads(1, "decode") as pool:
    pool.submit(len, ()).result()
    before = num_threads()
    pool.submit(lambda: x.t() @ x).result()
    print(before, num_threads())
"""


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core has no other thread to run on")
def test_the_first_product_of_a_thread_stays_on_it() -> None:
    # On all cores it would be summed in another order than the thread's later ones.
    done = subprocess.run(
        [sys.executable, "-c", FIRST_PRODUCT], capture_output=True, text=True, check=True, timeout=120
    )
    before, after = map(int, done.stdout.split())
    assert after == before
