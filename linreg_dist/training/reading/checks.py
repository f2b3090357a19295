"""Checks of the rows as a whole, once they are counted."""

from __future__ import annotations

from linreg_dist.data.rows import missing_report
from linreg_dist.data.summary import RowCounts
from linreg_dist.errors import DataError
from linreg_dist.training.job import TrainJob


def check_counts(job: TrainJob, counts: RowCounts) -> None:
    """Check the rows as a whole.

    Raises:
        DataError: no row passes the filter, a column has no value at all, values are missing where none may,
            nothing is left to train on.

    """
    data, manifest = job.spec.data, job.manifest
    considered = counts.read - counts.filtered - counts.weightless
    if counts.read == counts.filtered:
        raise DataError(
            f"no rows after data.filter: all {counts.read:,} rows of {', '.join(data.paths)} were filtered "
            f"out; loosen the filter"
        )
    if considered == 0:
        raise _no_weight(job, counts.weightless)
    for name, number in counts.missing.items():
        if number == considered:
            file = manifest.files[manifest.row_groups[counts.first_missing[name]].file].uri
            raise DataError(
                f"column {name!r} has no value in any of {number:,} rows (first in {file}): all are null, "
                "NaN or infinite; leave it out with data.exclude, or choose other features"
            )
    if counts.missing and data.missing == "error":
        first = min(counts.first_missing, key=lambda name: (counts.first_missing[name], name))
        where = manifest.where(manifest.row_groups[counts.first_missing[first]])
        reached = manifest.files[manifest.row_groups[counts.first_missing[first]].file]
        known = {*reached.schema.names, *reached.partition}
        absent = "" if first in known else " (this file has no such column)"
        raise DataError(
            f"{where}: column {first!r}{absent} has {counts.missing[first]:,} null, NaN or infinite values "
            f"in all, and data.missing is error. Columns affected: {missing_report(counts.missing)}. "
            "Set data.missing to drop (leave such rows out) or mean (fill features with their mean)"
        )
    if counts.train == 0:
        weightless = f"{counts.weightless:,} have weight 0, " if counts.weightless else ""
        raise DataError(
            f"no training rows: of {counts.read:,} rows, {counts.filtered:,} were filtered out, "
            f"{weightless}{counts.missing_rows:,} dropped for missing "
            f"values ({missing_report(counts.missing) or 'none'}) and {counts.validation:,} held out for "
            f"validation"
        )


def check_weight(job: TrainJob, counts: RowCounts, sum_w: float) -> None:
    """Raise if the training rows have no weight at all.

    Raises:
        DataError: all weights are 0.

    """
    if sum_w <= 0.0:
        raise _no_weight(job, counts.train)


def _no_weight(job: TrainJob, num_rows: int) -> DataError:
    return DataError(
        f"the weights of all {num_rows:,} training rows are 0 (column {job.spec.data.weight!r}): "
        "nothing to fit; expected at least one positive weight. Check data.weight"
    )
