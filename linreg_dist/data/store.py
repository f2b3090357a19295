"""Decoded blocks on demand: a bounded look-ahead of decoding threads, and a cache so that later epochs do not
decode.

A worker's threads decode whole row groups; Arrow, numpy and BLAS release the interpreter lock, so they run
side by side.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import pyarrow as pa

from linreg_dist.data import memory
from linreg_dist.data.block import Block, BlockBuilder
from linreg_dist.data.cache import BlockCache
from linreg_dist.data.in_place import ColumnsInPlace
from linreg_dist.data.rows import RowSelection
from linreg_dist.data.source.manifest import Manifest
from linreg_dist.errors import LinregDistError

S = TypeVar("S")
T = TypeVar("T")


class BlockStore:
    """Gives out the blocks of one worker's row groups.

    Args:
        manifest: the row groups.
        builder: turns a row group into a block.
        cache: keeps blocks between passes. What it does not keep is decoded again in every pass.
        num_threads: decoding threads; at most this many row groups are decoded ahead.
        tight: give memory back after each row group, of which Arrow's allocator would keep several in store.

    """

    def __init__(
        self,
        manifest: Manifest,
        builder: BlockBuilder,
        cache: BlockCache,
        *,
        num_threads: int,
        tight: bool = False,
    ) -> None:
        self._builder = builder
        self._cache = cache
        self.num_threads = num_threads
        self._tight = tight
        self._manifest = manifest
        self._pool = arithmetic_threads(num_threads, "decode")
        self._read_elsewhere, self._lock = 0, threading.Lock()

    def close(self) -> None:
        """Stop the threads and release the blocks."""
        try:
            self._pool.shutdown(wait=True, cancel_futures=True)
        finally:  # also where a read that blocks is waited for, and that is interrupted
            self._cache.clear()

    def __enter__(self) -> BlockStore:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def build(self, index: int) -> tuple[Block, RowSelection]:
        """Decode a row group, keep the block for later passes if the budget allows, and say what became
        of its rows.
        """
        try:
            block, selection = self._builder.build(self._manifest.row_groups[index])
        except LinregDistError as error:
            error.alone = True  # the other workers read other row groups
            raise
        self._cache.keep(index, block)
        if self._tight:
            memory.release()
            pa.default_memory_pool().release_unused()
        return block, selection

    def in_place(self, index: int) -> ColumnsInPlace | None:
        """Decode a row group and leave its columns where they are; None where only a block will do.

        A pass whose blocks are kept for later ones builds them; so does one that is short of memory, because
        Arrow's table of a row group takes more of it, and longer, than the block.
        """
        if self._cache.keeps_any or self._tight:
            return None
        try:
            return self._builder.in_place(self._manifest.row_groups[index])
        except LinregDistError as error:
            error.alone = True  # the other workers read other row groups
            raise

    @property
    def keeps_any(self) -> bool:
        """Whether blocks are kept for later passes."""
        return self._cache.keeps_any

    def count_bytes(self, number: int) -> None:
        """Count bytes that a reader process has read of this worker's files."""
        with self._lock:
            self._read_elsewhere += number

    def expect_gaps(self) -> None:
        """Look at rows before they are used from now on; see `in_place`."""
        self._builder.expect_gaps()

    def load(self, index: int) -> Block:
        """Return a block, kept or decoded now."""
        kept = self._cache.get(index, self._builder.num_targets)
        if kept is None:
            return self.build(index)[0]
        # A file of the cache does not say by what its rows are summed.
        return kept if kept.native == self._builder.native else replace(kept, native=self._builder.native)

    @property
    def native(self) -> bool:
        """Whether native kernels sum the rows of the blocks."""
        return self._builder.native

    @property
    def bytes_read(self) -> int:
        """Bytes of the files that were read so far, compressed."""
        return self._builder.bytes_read + self._read_elsewhere

    def holds(self, indices: Iterable[int]) -> bool:
        """Return whether all these blocks are kept, so that a pass over them costs no decoding."""
        return all(self._cache.holds(index) for index in indices)

    def map(self, function: Callable[[int], T], indices: Iterable[int]) -> Iterator[T]:
        """Apply ``function`` to row groups on the threads; results in order, at most one per thread (and
        one more) ahead.
        """
        return bounded_map(self._pool, function, indices, self.num_threads + 1)

    def on_all_threads(self, function: Callable[[], object]) -> None:
        """Call a function on every thread at the same time, and wait for all: they share one list of work."""
        running = [self._pool.submit(function) for _ in range(self.num_threads)]
        for each in running:
            each.result()

    def open(self, order: Sequence[int]) -> OpenBlocks:
        """Return the blocks of ``order`` one after another, each held until released."""
        return OpenBlocks(self._pool, self.load, order, self.num_threads)


class OpenBlocks:
    """The blocks that the current steps draw from, and those about to be needed.

    `take` must be called for the row groups of ``order``; a block stays open until `release`. The look-ahead
    is counted from the last one taken for the first time, so memory is (open blocks + look-ahead) row groups.
    """

    def __init__(
        self, pool: ThreadPoolExecutor, load: Callable[[int], Block], order: Sequence[int], look_ahead: int
    ) -> None:
        self._pool = pool
        self._load = load
        self._order = list(order)
        self._place = {index: place for place, index in enumerate(self._order)}
        self._look_ahead = look_ahead
        self._submitted = 0
        self._pending: dict[int, Future[Block]] = {}
        self._submit_until(look_ahead)

    def take(self, index: int) -> Block:
        """Return an open block, waiting for it to be decoded."""
        self._submit_until(self._place[index] + 1 + self._look_ahead)
        return self._pending[index].result()

    def release(self, index: int) -> None:
        """Let go of a block whose rows are used up."""
        self._pending.pop(index, None)

    def _submit_until(self, count: int) -> None:
        while self._submitted < min(count, len(self._order)):
            index = self._order[self._submitted]
            self._pending[index] = self._pool.submit(self._load, index)
            self._submitted += 1


def arithmetic_threads(num_threads: int, name: str) -> ThreadPoolExecutor:
    """Return threads that keep to torch's number of threads from their first operation on, where the job
    has loaded torch.

    `torch.set_num_threads` reaches another thread only when that runs the first of torch's own parallel
    loops. A product of matrices before that runs on all cores, and is summed in another order than the same
    product later: the bits of a result would depend on which thread came first.
    """
    return ThreadPoolExecutor(num_threads, thread_name_prefix=name, initializer=_heed_torch)


def _heed_torch() -> None:
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.get_num_threads()


def bounded_map(
    pool: ThreadPoolExecutor, function: Callable[[S], T], items: Iterable[S], limit: int
) -> Iterator[T]:
    """Map on a pool with results in order and at most ``limit`` items in flight, unlike ``Executor.map``."""
    waiting: list[Future[T]] = []
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= limit:
                yield waiting.pop(0).result()
        while waiting:
            yield waiting.pop(0).result()
    finally:
        for future in waiting:
            future.cancel()
