"""Before the first step: levels, counts, checks, means and scales, found by all workers together.

Each lane is summarised on its own and lanes are merged in order, so every number is the same for any number
of workers.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from linreg_dist.data.block import BlockBuilder, Shift
from linreg_dist.data.cache import BlockCache, default_cache_folder
from linreg_dist.data.encoding import CategoricalColumn, Encoding, NumericColumn
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.rows import RowSelector, decode_columns, missing_report
from linreg_dist.data.store import BlockStore, bounded_map
from linreg_dist.data.summary import BlockSummary, LevelScan, RowCounts
from linreg_dist.errors import DataError
from linreg_dist.training.first_pass import KeptEncoding, PartialSummaries
from linreg_dist.training.job import TrainJob, settle_solver
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.worker import Worker


class Mergeable(Protocol):
    """What a pass finds out about some rows; parts of disjoint rows merge into one of them all."""

    def merge(self, other: Self, /) -> None:
        """Add another part's rows to these."""


M = TypeVar("M", bound=Mergeable)


class Partials(Protocol[M]):
    """Keeps what a pass has summed so far, so that a job that is continued does not read those rows again."""

    def restore(self, lane: int) -> tuple[M, int] | None:
        """Return a lane's part and how many of its row groups are in it; None if nothing was kept."""

    def keep(self, lane: int, part: M, num_groups: int) -> None:
        """Take note of a lane's part, which holds its first ``num_groups`` row groups."""

    def save(self, *, now: bool = False) -> None:
        """Write what was noted if it is time to, or at once."""


_SMALL_DATA_BYTES = 256 << 20
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


def open_data(worker: Worker, job: TrainJob, log: MetricsLog, dtype: type[np.floating[Any]]) -> OpenData:
    """Find levels and fills if need be, and open the blocks.

    Raises:
        DataError: on every worker alike: unreadable files, missing values where none are allowed, too many
            levels.

    """
    kept = KeptEncoding(job)
    encoding = job.encoding or worker.gather(kept.restore() if worker.rank == 0 else None)[0]
    if encoding is None:
        encoding = _complete_encoding(worker, job, log)
        if worker.rank == 0:
            kept.keep(encoding)
    shift = _pilot_shift(worker, job, encoding)
    builder = _builder(job, encoding, shift, dtype)
    folder = default_cache_folder(job.fingerprint)
    settled = settle_solver(job, encoding.num_encoded)
    row_nbytes = (encoding.num_encoded + len(job.columns.targets)) * np.dtype(dtype).itemsize
    cache = BlockCache(_memory_budget(settled, worker, row_nbytes), _disk_budget(settled, folder), folder)
    store = BlockStore(
        job.manifest,
        builder,
        cache,
        num_threads=worker.num_threads,
        tight=job.spec.scaling.memory_budget_bytes == 0,
    )
    return OpenData(encoding, shift, store)


def summarise(worker: Worker, job: TrainJob, data: OpenData, log: MetricsLog) -> BlockSummary:
    """Read every block once: counts, means and spreads over all workers, checked.

    Raises:
        DataError: on every worker alike: see `check_counts`.

    """

    def summarise_one(index: int) -> BlockSummary:
        group = job.manifest.row_groups[index]
        block, selection = data.store.build(index)
        return BlockSummary.of(block, selection, index, group.num_rows)

    def empty() -> BlockSummary:
        return BlockSummary.empty(data.encoding.num_encoded, len(job.columns.targets))

    def read(order: list[int]) -> Iterator[BlockSummary]:
        return data.store.map(summarise_one, order)

    partials = PartialSummaries(job, data.encoding, data.shift)
    summary = merge_lanes(collect_by_lane(worker, job, read, empty, log, "read", partials), empty())
    check_counts(job, summary.counts)
    check_weight(job, summary.counts, summary.y.weight)
    return summary


def _complete_encoding(worker: Worker, job: TrainJob, log: MetricsLog) -> Encoding:
    """Return the encoding, after a pass over the data where levels or means have to be found."""
    data, columns = job.spec.data, job.columns
    needs_levels = any(levels is None for levels in columns.categorical.values())
    means = data.missing == "mean"
    scan = LevelScan()
    if needs_levels or means:
        scan = _scan(worker, job, log, means=means)
        check_counts(job, scan.counts)
    encoded: list[NumericColumn | CategoricalColumn] = []
    for name in columns.features:
        if name not in columns.categorical:
            fill = None
            if means:
                total, number = scan.sums.get(name, (0.0, 0))
                fill = total / number if number else 0.0
            encoded.append(NumericColumn(name, fill))
            continue
        counts: Mapping[Any, int] = scan.levels.get(name, {})
        given = columns.categorical[name]
        levels = given if given is not None else tuple(sorted(counts))
        if len(levels) > data.max_levels:
            raise DataError(
                f"column {name!r} has {len(levels):,} levels, more than data.max_levels "
                f"{data.max_levels:,}: an identifier? "
                f"Put it into data.exclude, list the levels that matter in data.categorical.{name}, or "
                f"raise data.max_levels"
            )
        frequencies = None
        if means:
            total_rows = sum(counts.values())
            frequencies = tuple(counts.get(level, 0) / max(total_rows, 1) for level in levels[1:])
        encoded.append(CategoricalColumn(name, tuple(levels), data.unseen, frequencies))
    encoding = Encoding(tuple(encoded))
    if encoding.num_encoded == 0:
        raise DataError(
            f"the features {', '.join(columns.features)} have one level each, so no column is left after "
            f"encoding; "
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

        def results(order: list[int]) -> Iterator[LevelScan]:
            return bounded_map(pool, scan_one, order, worker.num_threads + 1)

        return merge_lanes(collect_by_lane(worker, job, results, LevelScan, log, "levels"), LevelScan())


def _pilot_shift(worker: Worker, job: TrainJob, encoding: Encoding) -> Shift:
    """Look at the first row group for columns whose mean dwarfs their spread; every worker gets the same
    answer.
    """
    zero = Shift(np.zeros(encoding.num_encoded), np.zeros(len(job.columns.targets)))

    def look() -> Shift | None:
        if worker.rank != 0:
            return None
        builder = _builder(job, encoding, zero, np.float64)
        for group in job.manifest.row_groups:
            block, _ = builder.build(group)
            if block.num_train > 1:
                every = max(1, block.num_train // _PILOT_ROWS)
                x = block.x_ND[: block.num_train : every].numpy()
                y = block.y_NK[: block.num_train : every].numpy()
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


def _builder(job: TrainJob, encoding: Encoding, shift: Shift, dtype: type[np.floating[Any]]) -> BlockBuilder:
    solver = job.spec.solver
    return BlockBuilder(
        job.manifest,
        job.columns,
        job.spec.data,
        encoding,
        shift,
        dtype=dtype,
        # Sums over all rows do not depend on their order, and rows that stay in place are read faster.
        shuffle=solver.shuffle and job.solver not in ("exact", "lbfgs"),
        seed=solver.seed,
    )


def collect_by_lane(
    worker: Worker,
    job: TrainJob,
    results: Callable[[list[int]], Iterable[M]],
    empty: Callable[[], M],
    log: MetricsLog,
    phase: str,
    partials: Partials[M] | None = None,
) -> list[M]:
    """Make one pass over the row groups and merge what it finds lane by lane.

    Args:
        worker, job, log: as in training; ``phase`` names the pass in the progress ticks.
        results: computes a part for each row group of a list, in order.
        empty: makes a part of no rows.
        partials: remembers the parts of an interrupted pass; each lane goes on after what is remembered.

    Returns:
        One part per lane, the same on every worker, for any number of workers.

    Raises:
        LinregDistError: what a worker raised, on all of them.

    """
    lanes = job.lanes
    mine = list(job.lanes_of(worker.rank, worker.world_size))

    def work() -> dict[int, M]:
        by_lane, done = {lane: empty() for lane in mine}, dict.fromkeys(mine, 0)
        for lane in mine:
            restored = None if partials is None else partials.restore(lane)
            if restored is not None:
                by_lane[lane], done[lane] = restored
        order = [(lane, index) for lane in mine for index in lanes[lane][done[lane] :]]
        total = sum(job.manifest.row_groups[index].num_rows for _, index in order)
        started, rows = time.perf_counter(), 0
        for (lane, index), part in zip(order, results([index for _, index in order]), strict=True):
            by_lane[lane].merge(part)
            done[lane] += 1
            if partials is not None:
                partials.keep(lane, by_lane[lane], done[lane])
                partials.save()
            rows += job.manifest.row_groups[index].num_rows
            if log.tick_due():
                elapsed = time.perf_counter() - started
                log.tick(
                    phase,
                    rows / total if phase in ("solve", "robust") else 0.0,
                    rows=rows * worker.world_size,
                    rows_per_s=rows * worker.world_size / elapsed,
                    eta_s=elapsed * (total - rows) / max(rows, 1),
                )
        return by_lane

    everyone = {lane: part for lanes_done in worker.together(work) for lane, part in lanes_done.items()}
    return [everyone[lane] for lane in sorted(everyone)]


def merge_lanes(parts: Iterable[M], into: M) -> M:
    """Merge the lanes' parts in order."""
    for part in parts:
        into.merge(part)
    return into


def check_counts(job: TrainJob, counts: RowCounts) -> None:
    """Check the rows as a whole.

    Raises:
        DataError: no row passes the filter, a column has no value at all, values are missing where none may,
            nothing is left to train on.

    """
    data, manifest = job.spec.data, job.manifest
    considered = counts.read - counts.filtered
    if considered == 0:
        raise DataError(
            f"no rows after data.filter: all {counts.read:,} rows of {', '.join(data.paths)} were filtered "
            f"out; loosen the filter"
        )
    for name, number in counts.missing.items():
        if number == considered:
            file = manifest.files[manifest.row_groups[counts.first_missing[name]].file].uri
            raise DataError(
                f"column {name!r} has no value in any of {number:,} rows (first in {file}): all are null, "
                f"NaN or infinite; "
                "leave it out with data.exclude, or choose other features"
            )
    if counts.missing and data.missing == "error":
        first = min(counts.first_missing, key=lambda name: (counts.first_missing[name], name))
        where = manifest.where(manifest.row_groups[counts.first_missing[first]])
        raise DataError(
            f"{where}: column {first!r} has {counts.missing[first]:,} null, NaN or infinite values in all, "
            f"and data.missing is error. "
            f"Columns affected: {missing_report(counts.missing)}. "
            "Set data.missing to drop (leave such rows out) or mean (fill features with their mean)"
        )
    if counts.train == 0:
        raise DataError(
            f"no training rows: of {counts.read:,} rows, {counts.filtered:,} were filtered out, "
            f"{counts.missing_rows:,} dropped for missing "
            f"values ({missing_report(counts.missing) or 'none'}) and {counts.validation:,} held out for "
            f"validation"
        )


def check_weight(job: TrainJob, counts: RowCounts, sum_w: float) -> None:
    """Raise if the training rows have no weight at all.

    Raises:
        DataError: all weights are 0.

    """
    if sum_w <= 0.0:
        raise DataError(
            f"the weights of all {counts.train:,} training rows are 0 (column {job.spec.data.weight!r}): "
            "nothing to fit; expected at least one positive weight. Check data.weight"
        )


def _memory_budget(job: TrainJob, worker: Worker, row_nbytes: int) -> int:
    """Return the bytes this worker may keep: the spec's, or a share of half of what the machine has free.

    The exact solver reads its rows once. It keeps small data alone, so that this gets a mean absolute error,
    which takes a second look; for large data the memory by itself would cost about as much as the reading.
    """
    chosen = job.spec.scaling.memory_budget_bytes
    if chosen is not None:
        return chosen
    if _reads_once(job):
        # A part of the blocks would be of no use: the second look is taken if every block is there.
        all_blocks = job.manifest.num_rows * row_nbytes // worker.world_size
        return _SMALL_DATA_BYTES if all_blocks <= _SMALL_DATA_BYTES else 0
    free = _available_bytes()
    cores = len(os.sched_getaffinity(0))
    share = min(1.0, worker.num_threads / cores) if worker.world_size > 1 else 1.0
    return int(free * 0.5 * share)


def _reads_once(job: TrainJob) -> bool:
    # The cluster pass needs ids that blocks do not hold, so it decodes again in any case.
    return job.solver == "exact" and job.spec.model.covariance in ("nonrobust", "cluster")


def _disk_budget(job: TrainJob, folder: Path) -> int:
    """Return the bytes that all workers of a node may keep on its disk: the spec's, or half of what is free.

    The exact solver reads its rows once, so by itself it writes none, unless robust errors read them again.
    """
    chosen = job.spec.scaling.disk_budget_bytes
    if chosen is not None:
        return chosen
    if _reads_once(job):
        return 0
    return shutil.disk_usage(next(path for path in folder.parents if path.exists())).free // 2


def _available_bytes() -> int:
    """Return what could be allocated without swapping: Linux counts the page cache it would give up."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
