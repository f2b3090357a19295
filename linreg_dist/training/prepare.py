"""Before the first step: levels, counts, checks, means and scales, found by all workers together.

Each lane is summarised on its own and lanes are merged in order, so every number is the same for any number of workers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from linreg_dist.data.block import BlockBuilder, Shift
from linreg_dist.data.encoding import CategoricalColumn, Encoding, NumericColumn
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.rows import RowSelector, decode_columns, missing_report
from linreg_dist.data.store import BlockStore, bounded_map
from linreg_dist.data.summary import BlockSummary, LevelScan, RowCounts
from linreg_dist.errors import DataError
from linreg_dist.training.job import TrainJob
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.worker import Worker

T = TypeVar("T")

_SHIFT_FROM = 8.0  # |mean| / spread above which float32 would lose three bits of the spread


@dataclass
class Prepared:
    """What the first pass leaves for training.

    Attributes:
        encoding: complete, with levels and fills.
        shift: what blocks have subtracted.
        summary: counts and moments over all rows of all workers.
        store: this worker's blocks, some of them already decoded.
        read_s: seconds the passes took.
    """

    encoding: Encoding
    shift: Shift
    summary: BlockSummary
    store: BlockStore
    read_s: float


def prepare(worker: Worker, job: TrainJob, log: MetricsLog, dtype: type[np.floating[Any]]) -> Prepared:
    """Read the data once (twice where levels or means must be found first) and check it.

    Raises:
        DataError: on every worker alike: missing values where none are allowed, no row left, too many levels, unreadable files.
    """
    started = time.perf_counter()
    encoding = _complete_encoding(worker, job, log)
    shift = _pilot_shift(worker, job, encoding)
    builder = _builder(job, encoding, shift, dtype)
    store = BlockStore(
        job.manifest, builder, num_threads=worker.num_threads, budget_bytes=_budget(job, worker)
    )
    try:
        summary = _summarise(worker, job, encoding, store, log)
        _check_counts(job, summary.counts)
    except BaseException:
        store.close()
        raise
    return Prepared(encoding, shift, summary, store, time.perf_counter() - started)


def _complete_encoding(worker: Worker, job: TrainJob, log: MetricsLog) -> Encoding:
    """Return the encoding, after a pass over the data where levels or means have to be found."""
    data, columns = job.spec.data, job.columns
    needs_levels = any(levels is None for levels in columns.categorical.values())
    means = data.missing == "mean"
    scan = LevelScan()
    if needs_levels or means:
        scan = _scan(worker, job, log, means=means)
        _check_counts(job, scan.counts)
    encoded: list[NumericColumn | CategoricalColumn] = []
    for name in columns.features:
        if name not in columns.categorical:
            fill = None
            if means:
                total, number = scan.sums.get(name, (0.0, 0))
                fill = total / number if number else 0.0
            encoded.append(NumericColumn(name, fill))
            continue
        counts = scan.levels.get(name, {})
        given = columns.categorical[name]
        levels = given if given is not None else tuple(sorted(counts))
        if len(levels) > data.max_levels:
            raise DataError(
                f"column {name!r} has {len(levels):,} levels, more than data.max_levels {data.max_levels:,}: an identifier? "
                f"Put it into data.exclude, list the levels that matter in data.categorical.{name}, or raise data.max_levels"
            )
        frequencies = None
        if means:
            total_rows = sum(counts.values())
            frequencies = tuple(counts.get(level, 0) / max(total_rows, 1) for level in levels[1:])
        encoded.append(CategoricalColumn(name, tuple(levels), data.unseen, frequencies))
    encoding = Encoding(tuple(encoded))
    if encoding.num_encoded == 0:
        raise DataError(
            f"the features {', '.join(columns.features)} have one level each, so no column is left after encoding; "
            "choose at least one feature that varies"
        )
    return encoding


def _scan(worker: Worker, job: TrainJob, log: MetricsLog, *, means: bool) -> LevelScan:
    columns = job.columns
    reader = RowGroupReader(job.manifest, columns.to_read, list(columns.categorical))
    selector = RowSelector(job.manifest, columns, job.spec.data, shuffle=False, seed=0)

    def scan_one(index: int) -> LevelScan:
        group = job.manifest.row_groups[index]
        table = reader.read(group)
        decoded = decode_columns(table, columns)
        found = LevelScan()
        found.add(decoded, selector.select(table, decoded, group), columns, index, means=means)
        return found

    with ThreadPoolExecutor(worker.num_threads, thread_name_prefix="scan") as pool:

        def results(order: list[int]) -> Any:
            return bounded_map(pool, scan_one, order, worker.num_threads + 1)

        return _by_lane(worker, job, results, LevelScan, log, "levels")


def _pilot_shift(worker: Worker, job: TrainJob, encoding: Encoding) -> Shift:
    """Look at the first row group for columns whose mean dwarfs their spread; every worker gets the same answer."""
    zero = Shift(np.zeros(encoding.num_encoded), np.zeros(len(job.columns.targets)))

    def look() -> Shift | None:
        if worker.rank != 0:
            return None
        builder = _builder(job, encoding, zero, np.float64)
        for group in job.manifest.row_groups:
            block, _ = builder.build(group)
            if block.num_train > 1:
                x = block.x_ND[: block.num_train].numpy()
                y = block.y_NK[: block.num_train].numpy()
                numeric = np.concatenate(
                    [
                        np.full(stop - start, isinstance(column, NumericColumn))
                        for column, start, stop in encoding.spans()
                    ]
                )
                return Shift(np.where(numeric, _shift(x), 0.0), _shift(y))
        return zero

    found = worker.together(look)[0]
    return found if found is not None else zero


def _shift(z_ND: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[np.float64]]:
    with np.errstate(invalid="ignore", over="ignore"):  # columns with missing values show up later, by name
        mean, std = z_ND.mean(axis=0), z_ND.std(axis=0)
        return np.where(np.isfinite(mean) & (np.abs(mean) > _SHIFT_FROM * std), mean, 0.0)


def _builder(
    job: TrainJob, encoding: Encoding, shift: Shift, dtype: type[np.floating[Any]]
) -> BlockBuilder:
    solver = job.spec.solver
    return BlockBuilder(
        job.manifest,
        job.columns,
        job.spec.data,
        encoding,
        shift,
        dtype=dtype,
        shuffle=solver.shuffle,
        seed=solver.seed,
    )


def _summarise(
    worker: Worker, job: TrainJob, encoding: Encoding, store: BlockStore, log: MetricsLog
) -> BlockSummary:
    def summarise_one(index: int) -> BlockSummary:
        group = job.manifest.row_groups[index]
        block, selection = store.builder.build(group)
        store.keep(index, block)
        return BlockSummary.of(block, selection, index, group.num_rows)

    def empty() -> BlockSummary:
        return BlockSummary.empty(encoding.num_encoded, len(job.columns.targets))

    return _by_lane(worker, job, lambda order: store.map(summarise_one, order), empty, log, "read")


def _by_lane(
    worker: Worker,
    job: TrainJob,
    results: Callable[[list[int]], Any],
    empty: Callable[[], T],
    log: MetricsLog,
    phase: str,
) -> T:
    """Summarise this worker's lanes, exchange, and merge all lanes in order."""
    lanes = job.lanes
    mine = list(job.lanes_of(worker.rank, worker.world_size))
    order = [(lane, index) for lane in mine for index in lanes[lane]]

    def work() -> dict[int, T]:
        by_lane: dict[int, Any] = {lane: empty() for lane in mine}
        started, rows = time.perf_counter(), 0
        total = sum(job.manifest.row_groups[index].num_rows for _, index in order)
        for (lane, index), part in zip(order, results([index for _, index in order]), strict=True):
            by_lane[lane].merge(part)
            rows += job.manifest.row_groups[index].num_rows
            if log.tick_due():
                elapsed = time.perf_counter() - started
                log.tick(
                    phase,
                    0.0,
                    rows=rows * worker.world_size,
                    rows_per_s=rows * worker.world_size / elapsed,
                    eta_s=elapsed * (total - rows) / max(rows, 1),
                )
        return by_lane

    merged: Any = empty()
    everyone = {lane: part for worker_lanes in worker.together(work) for lane, part in worker_lanes.items()}
    for lane in sorted(everyone):
        merged.merge(everyone[lane])
    return merged  # type: ignore[no-any-return]  # parts are whatever `empty` makes


def _check_counts(job: TrainJob, counts: RowCounts) -> None:
    """Raise what is wrong with the rows as a whole."""
    data, manifest = job.spec.data, job.manifest
    considered = counts.read - counts.filtered
    if considered == 0:
        raise DataError(
            f"no rows after data.filter: all {counts.read:,} rows of {', '.join(data.paths)} were filtered out; loosen the filter"
        )
    for name, number in counts.missing.items():
        if number == considered:
            file = manifest.files[manifest.row_groups[counts.first_missing[name]].file].uri
            raise DataError(
                f"column {name!r} has no value in any of {number:,} rows (first in {file}): all are null, NaN or infinite; "
                "leave it out with data.exclude, or choose other features"
            )
    if counts.missing and data.missing == "error":
        first = min(counts.first_missing, key=lambda name: (counts.first_missing[name], name))
        where = manifest.where(manifest.row_groups[counts.first_missing[first]])
        raise DataError(
            f"{where}: column {first!r} has {counts.missing[first]:,} null, NaN or infinite values in all, and data.missing is error. "
            f"Columns affected: {missing_report(counts.missing)}. "
            "Set data.missing to drop (leave such rows out) or mean (fill features with their mean)"
        )
    if counts.train == 0:
        raise DataError(
            f"no training rows: of {counts.read:,} rows, {counts.filtered:,} were filtered out, {counts.missing_rows:,} dropped for missing "
            f"values ({missing_report(counts.missing) or 'none'}) and {counts.validation:,} held out for validation"
        )


def _budget(job: TrainJob, worker: Worker) -> int:
    """Return the bytes this worker may keep: the spec's, or a share of half of what the machine has free."""
    chosen = job.spec.scaling.memory_budget_bytes
    if chosen is not None:
        return chosen
    free = _available_bytes()
    cores = len(os.sched_getaffinity(0))
    share = min(1.0, worker.num_threads / cores) if worker.world_size > 1 else 1.0
    return int(free * 0.5 * share)



def _available_bytes() -> int:
    """Return what could be allocated without swapping: Linux counts the page cache it would give up."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
