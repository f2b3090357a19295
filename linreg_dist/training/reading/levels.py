"""The encoding of the columns, with the levels and fills that only a pass over the data can find."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.rows import RowSelector, decode_columns
from linreg_dist.data.store import bounded_map
from linreg_dist.data.summary import ColumnScan
from linreg_dist.errors import DataError
from linreg_dist.training.job import TrainJob
from linreg_dist.training.metrics_log import MetricsLog
from linreg_dist.training.reading.checks import check_counts
from linreg_dist.training.reading.lanes import collect_by_lane, merge_lanes
from linreg_dist.training.worker import Worker
from linreg_dist.wording.names import some_names


def complete_encoding(worker: Worker, job: TrainJob, log: MetricsLog) -> Encoding:
    """Return the encoding, after a pass over the data where levels or means have to be found."""
    columns, encoding = job.columns, _found(worker, job, log)
    if encoding.num_encoded == 0:
        raise DataError(
            f"the features {some_names(columns.features)} have one level each, so no column is left after "
            "encoding; choose at least one feature that varies"
        )
    _refuse_equal_names(encoding)
    return encoding


def widened_encoding(worker: Worker, job: TrainJob, earlier: Encoding, log: MetricsLog) -> Encoding:
    """Return the encoding of an earlier run with the levels that new data has beside its own.

    Fills are those of the earlier rows: where missing values are replaced by means, nothing is added.
    """
    data = job.spec.data
    if data.missing == "mean" or not any(column.needs(data) for column in job.columns.kinds):
        return earlier
    found = _found(worker, job, log)
    columns = []
    for mine, other in zip(earlier.columns, found.columns, strict=True):
        try:
            columns.append(mine.united(other))
        except ValueError as error:
            raise DataError(f"the new files cannot be added: {mine.name}: {error}") from error
    encoding = Encoding(tuple(columns))
    _refuse_equal_names(encoding)
    return encoding


def _found(worker: Worker, job: TrainJob, log: MetricsLog) -> Encoding:
    """Return the encoding that this job's own rows give."""
    data, columns = job.spec.data, job.columns
    needing = [column for column in columns.kinds if column.needs(data)]
    scan = ColumnScan()
    if needing:
        scan = _scan(worker, job, log, needing)
        if job.update_from is None:  # else the rows of before count too
            check_counts(job, scan.counts)
    return Encoding(tuple(column.settle(scan.found.get(column.name), data) for column in columns.kinds))


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


def _scan(worker: Worker, job: TrainJob, log: MetricsLog, needing: Sequence[ColumnKind]) -> ColumnScan:
    columns = job.columns
    reader = RowGroupReader(job.manifest, columns.to_read, columns.dictionaries)
    selector = RowSelector(job.manifest, columns, job.spec.data, shuffle=False, seed=0)

    def scan_one(index: int) -> ColumnScan:
        group = job.manifest.row_groups[index]
        ruled_out = selector.ruled_out(group)
        if ruled_out is not None:
            scan = ColumnScan()
            scan.counts.add(ruled_out, index, group.num_rows)
            return scan
        table = reader.read(group)
        decoded = decode_columns(table, columns)
        return ColumnScan.of(
            decoded, selector.select(table, decoded, group), needing, index, job.manifest.where(group)
        )

    with ThreadPoolExecutor(worker.num_threads, thread_name_prefix="scan") as pool:

        def results(order: list[int]) -> Iterator[ColumnScan]:
            return bounded_map(pool, scan_one, order, worker.num_threads + 1)

        return merge_lanes(collect_by_lane(worker, job, results, ColumnScan, log, "levels"), ColumnScan())
