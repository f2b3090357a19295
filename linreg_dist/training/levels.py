"""The encoding of the columns, with the levels and fills that only a pass over the data can find."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from linreg_dist.data.encoding import CategoricalColumn, Encoding, NumericColumn
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.rows import RowSelector, decode_columns
from linreg_dist.data.store import bounded_map
from linreg_dist.data.summary import LevelScan
from linreg_dist.errors import DataError
from linreg_dist.training.checks import check_counts
from linreg_dist.training.job import TrainJob
from linreg_dist.training.lanes import collect_by_lane, merge_lanes
from linreg_dist.training.progress import MetricsLog
from linreg_dist.training.worker import Worker
from linreg_dist.wording.names import some_names


def complete_encoding(worker: Worker, job: TrainJob, log: MetricsLog) -> Encoding:
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
            f"the features {some_names(columns.features)} have one level each, so no column is left after "
            f"encoding; "
            "choose at least one feature that varies"
        )
    _refuse_equal_names(encoding)
    return encoding


def _refuse_equal_names(encoding: Encoding) -> None:
    """Refuse two coefficients of one name, such as of a column ``a=b`` and of level b of a column ``a``.

    Raises:
        DataError: names both columns.

    """
    owners: dict[str, str] = {}
    for column in encoding.columns:
        for name in column.encoded_names:
            owner = owners.setdefault(name, column.name)
            if owner != column.name:
                raise DataError(
                    f"the columns {owner!r} and {column.name!r} both have a coefficient named {name!r} after "
                    "encoding, which could not be told apart; expected different names: rename one of the "
                    "columns when writing the Parquet, or put it into data.exclude"
                )


def _scan(worker: Worker, job: TrainJob, log: MetricsLog, *, means: bool) -> LevelScan:
    columns = job.columns
    reader = RowGroupReader(job.manifest, columns.to_read, list(columns.categorical))
    selector = RowSelector(job.manifest, columns, job.spec.data, shuffle=False, seed=0)

    def scan_one(index: int) -> LevelScan:
        group = job.manifest.row_groups[index]
        found = LevelScan()
        ruled_out = selector.ruled_out(group)
        if ruled_out is not None:
            found.counts.add(ruled_out, index, group.num_rows)
            return found
        table = reader.read(group)
        decoded = decode_columns(table, columns)
        found.add(decoded, selector.select(table, decoded, group), columns, index, means=means)
        return found

    with ThreadPoolExecutor(worker.num_threads, thread_name_prefix="scan") as pool:

        def results(order: list[int]) -> Iterator[LevelScan]:
            return bounded_map(pool, scan_one, order, worker.num_threads + 1)

        return merge_lanes(collect_by_lane(worker, job, results, LevelScan, log, "levels"), LevelScan())
