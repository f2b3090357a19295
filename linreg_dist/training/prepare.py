"""Before the first step: blocks, means and scales, found by all workers together."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from linreg_dist.data.block import Block, BlockBuilder, Shift
from linreg_dist.data.cache import BlockCache, default_cache_folder
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.store import BlockStore, bounded_map
from linreg_dist.kernels.choice import use_native
from linreg_dist.training.budgets import disk_budget, memory_budget
from linreg_dist.training.checkpoints.first_pass import KeptEncoding
from linreg_dist.training.job import TrainJob
from linreg_dist.training.metrics_log import MetricsLog
from linreg_dist.training.reading.capacity import decode_threads, require_room_for_rows
from linreg_dist.training.reading.levels import complete_encoding, widened_encoding
from linreg_dist.training.worker import Worker

_PILOT_ROWS = 4096  # enough to tell a mean that dwarfs its spread
_SHIFT_FROM = 8.0  # |mean| / spread above which float32 would lose three bits of the spread


@dataclass
class OpenData:
    """This worker's blocks, and how they were made.

    Attributes:
        encoding: complete, with levels and fills; the same on every worker.
        shift: what blocks have subtracted; likewise.
        store: the blocks of this worker's row groups; some may be decoded already.

    """

    encoding: Encoding
    shift: Shift
    store: BlockStore


def open_data(worker: Worker, job: TrainJob, log: MetricsLog) -> OpenData:
    """Find levels and fills if need be, and open the blocks.

    Raises:
        DataError: on every worker alike: unreadable files, missing values where none are allowed, too many
            levels.

    """
    dtype = job.solver.block_dtype(job)
    value_bytes = np.dtype(dtype).itemsize
    worker.together(lambda: require_room_for_rows(job, job.columns.known_width, value_bytes))
    kept = KeptEncoding(job)
    encoding = worker.gather(kept.restore() if worker.rank == 0 else None)[0]
    if encoding is None:
        if job.encoding is None:
            encoding = complete_encoding(worker, job, log)
        else:
            encoding = widened_encoding(worker, job, job.encoding, log)
        if worker.rank == 0:
            kept.keep(encoding)
    width = encoding.num_encoded
    settled = job.settled(width)
    worker.together(lambda: settled.solver.require_room(settled, worker, width))
    worker.together(lambda: require_room_for_rows(job, width, value_bytes))
    shift = _pilot_shift(worker, job, encoding)
    builder = block_builder(job, encoding, shift, dtype)
    folder = default_cache_folder(job.fingerprint)
    row_nbytes = (encoding.num_encoded + len(job.columns.targets)) * np.dtype(dtype).itemsize
    cache = BlockCache(memory_budget(settled, worker, row_nbytes), disk_budget(settled, folder), folder)
    store = BlockStore(
        job.manifest,
        builder,
        cache,
        num_threads=decode_threads(job, worker, width, value_bytes),
        tight=job.spec.scaling.memory_budget_bytes == 0,
    )
    return OpenData(encoding, shift, store)


def _pilot_shift(worker: Worker, job: TrainJob, encoding: Encoding) -> Shift:
    """Look at the first row group for columns whose mean dwarfs their spread; every worker gets the same
    answer.
    """
    zero = Shift(np.zeros(encoding.num_encoded), np.zeros(len(job.columns.targets)))

    def look() -> Shift | None:
        if worker.rank != 0:
            return None
        builder = block_builder(job, encoding, zero, np.float64, sample=_PILOT_ROWS)
        # On a thread, as all reading: a main thread that blocks in a read cannot be interrupted.
        with ThreadPoolExecutor(1, thread_name_prefix="pilot") as pool:
            blocks = (block for block, _ in bounded_map(pool, builder.build, job.manifest.row_groups, 1))
            return next((_shift_of(block, encoding) for block in blocks if block.num_train > 1), zero)

    found = worker.together(look)[0]
    return found if found is not None else zero


def _shift_of(block: Block, encoding: Encoding) -> Shift:
    x, y = block.x_ND, block.y_NK
    shifted = np.concatenate(
        [np.full(stop - start, column.shifted) for column, start, stop in encoding.spans()]
    )
    return Shift(np.where(shifted, _shift(x), 0.0), _shift(y))


def _shift(z_ND: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    with np.errstate(invalid="ignore", over="ignore"):  # columns with missing values show up later, by name
        mean, std = z_ND.mean(axis=0), z_ND.std(axis=0)
        return np.where(np.isfinite(mean) & (np.abs(mean) > _SHIFT_FROM * std), mean, 0.0)


def block_builder(
    job: TrainJob,
    encoding: Encoding,
    shift: Shift,
    dtype: type[np.floating[Any]],
    *,
    sample: int | None = None,
) -> BlockBuilder:
    """Return what turns a row group of a job into a block; see `BlockBuilder` for ``sample``."""
    solver = job.spec.solver
    return BlockBuilder(
        job.manifest,
        job.columns,
        job.spec.data,
        encoding,
        shift,
        dtype=dtype,
        # Sums over all rows do not depend on their order, and rows that stay in place are read faster.
        shuffle=solver.shuffle and job.solver.shuffles,
        seed=solver.seed,
        native=is_native(job, encoding.num_encoded),
        sample=sample,
    )


def is_native(job: TrainJob, num_columns: int) -> bool:
    """Return whether native kernels are to sum the rows of a job with so many encoded columns."""
    solver = job.spec.solver
    numbers = job.manifest.num_rows * (num_columns + len(job.columns.targets))
    passes = solver.epochs if job.solver.is_iterative else 1
    steps = 0
    if job.solver.shuffles and solver.global_batch_size != "auto":
        steps = passes * -(-job.manifest.num_rows // int(solver.global_batch_size))
    return use_native(numbers * passes, steps)
