"""The sections ``data`` and ``data.validation`` of the job spec: what is read, and its columns as numbers.

The field descriptions are the reference, as in `sections`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictInt, StrictStr

from linreg_dist.jobspec.fields import (
    LARGEST_INT,
    ColumnName,
    Levels,
    OneOrMoreColumns,
    OneOrMorePaths,
    Section,
    Seed,
    SomeColumns,
    UniqueColumns,
)
from linreg_dist.jobspec.filters import Condition, Filter, as_dnf


class ValidationSpec(Section):
    """Which rows are held out to measure the model; they are never trained on."""

    method: Literal["none", "hash", "column", "path"] = Field(
        default="hash",
        description="How rows are held out: none; hash (a seeded hash of file and row number, the same "
        "for any number of workers); column (rows marked by `column`); path (all rows of the "
        "files in `path`).",
    )
    fraction: Annotated[float, Field(strict=True, gt=0, lt=1)] = Field(
        default=0.2, description="Share of the rows to hold out, above 0 and below 1; used by method hash."
    )
    seed: Seed = Field(default=0, description="Another seed holds out other rows; used by method hash.")
    column: ColumnName | None = Field(
        default=None,
        description="Boolean or 0/1 column whose true rows are held out; it is never a feature. Required "
        "by method column, null otherwise.",
    )
    path: OneOrMorePaths | None = Field(
        default=None,
        description="Parquet to measure on, in the same forms as data.path and relative to this spec "
        "file. Required by method path, null otherwise.",
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """`path` as a tuple; empty when there is none."""
        return _as_tuple(self.path)


class DataSpec(Section):
    """Which Parquet to read, and how its columns become numbers."""

    path: OneOrMorePaths = Field(
        description="Parquet to train on: a file, a directory, a glob, a URI (s3://, gs://, ...), or a "
        "list of those. Relative to this spec file; given by --set or from Python, to the "
        "current directory."
    )
    target: OneOrMoreColumns = Field(
        description="Numeric column to predict, or a list of columns (one model each, in one pass)."
    )
    features: SomeColumns | None = Field(
        default=None,
        description="Columns to predict from, in this order; null takes all usable columns but target, "
        "weight, cluster and split column.",
    )
    exclude: UniqueColumns = Field(default=(), description="Columns not to use when `features` is null.")
    format: Literal["auto", "parquet", "delta", "iceberg"] = Field(
        default="auto",
        description="What `path` is: auto (the folder of a Delta or Iceberg table is read as one, anything "
        "else as Parquet); parquet (every Parquet file, whatever a table's log says); delta; iceberg.",
    )
    version: StrictInt | StrictStr | None = Field(
        default=None,
        description="Which version of a Delta or Iceberg table: a version number, a snapshot id, or a time "
        "such as 2026-11-27T06:00:00Z (the version of that time, UTC unless it names a zone); null is the "
        "current one.",
    )
    on_bad_file: Literal["error", "skip"] = Field(
        default="error",
        description="What to do with a file that cannot be read (damaged, a broken link): error, or skip, "
        "which leaves out the whole file, and names it on the console and in result.json; every file is then "
        "read once before the job starts.",
    )
    weight: ColumnName | None = Field(
        default=None, description="Column of row weights, none negative; null weighs every row 1."
    )
    weight_type: Literal["analytic", "frequency"] = Field(
        default="analytic",
        description="What weights mean to standard errors: analytic (inverse variances; a row counts as "
        "one observation) or frequency (a row of weight 3 stands for three observations).",
    )
    cluster: ColumnName | None = Field(
        default=None,
        description="Column whose equal values group rows with correlated errors; required by "
        "model.covariance cluster, null otherwise.",
    )
    filter: Filter = Field(
        default=(),
        description="Rows to use: [[column, op, value], ...] is AND, a list of such lists is OR. The ops "
        "are = == != < > <= >= in, not in; [column, is, null] and [column, is_not, null]. A value is of "
        'the column\'s type: "2026-11-27" for dates and times, whole numbers exactly.',
    )
    missing: Literal["error", "drop", "mean"] = Field(
        default="error",
        description="What to do with null and NaN in a feature: error; drop the row; or mean, which puts "
        "the mean of the training rows in its place. Rows without target, weight or cluster are "
        "dropped unless it is error. Counts per column are always reported.",
    )
    categorical: dict[ColumnName, Levels] = Field(
        default_factory=dict,
        description="Columns to encode as one 0/1 column per level but the base: auto (levels found in a "
        "first pass, sorted; the first is the base) or a list of levels, base first. String "
        "columns are auto unless listed.",
    )
    unseen: Literal["error", "zero"] = Field(
        default="error",
        description="What to do with a level that was not there in training: error, or zero (all its 0/1 "
        "columns are 0, which makes it the base level).",
    )
    max_levels: Annotated[StrictInt, Field(ge=2, le=LARGEST_INT)] = Field(
        default=1000,
        description="A column with more levels than this is refused where levels are auto (an identifier?).",
    )
    validation: ValidationSpec = Field(
        default=ValidationSpec(), description="Which rows are held out to measure the model."
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """`path` as a tuple."""
        return _as_tuple(self.path)

    @property
    def targets(self) -> tuple[str, ...]:
        """`target` as a tuple."""
        return _as_tuple(self.target)

    @property
    def filter_dnf(self) -> list[list[Condition]]:
        """`filter` as a list (OR) of lists (AND) of conditions; empty when there is none."""
        return as_dnf(self.filter)


def _as_tuple(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value
