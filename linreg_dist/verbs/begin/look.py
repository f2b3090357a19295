"""A look at the columns of a data set: types, missing values, how many different values, their range.

Small data is read whole. Of large data some row groups are read, spread evenly over all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linreg_dist.data.capacity import decoded_nbytes, require_room
from linreg_dist.data.design.types import is_numeric, is_text
from linreg_dist.data.reader import RowGroupReader, numeric_values
from linreg_dist.data.source.manifest import Manifest, RowGroup
from linreg_dist.data.source.slices import in_slices

MOST_VALUES = 20_000_000
"""Values that are looked at, rows times columns."""
MOST_ROWS = 500_000

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ColumnFacts:
    """What a look found of one column.

    Attributes:
        name, type: as in the schema of the data.
        missing_N: the rows looked at in which it has no usable value: null, NaN or infinite.
        distinct: how many different values there are otherwise.
        expected: how many there are in all of the data: `distinct` where all was read, else the estimate of
            Chao (1984), from how many values were met once and twice.
        least, most: the range of a number, None of anything else.
        example: the first value, as text.
        values_N: a number's values as float64, NaN where missing; None of anything else.
        in_order: whether a number only grows, or only falls, from row to row.

    """

    name: str
    type: pa.DataType
    missing_N: Mask
    distinct: int
    expected: int
    least: Any = None
    most: Any = None
    example: str = ""
    values_N: npt.NDArray[np.float64] | None = None
    in_order: bool = False

    @property
    def is_number(self) -> bool:
        """Whether its values are numbers or booleans."""
        return self.values_N is not None

    @property
    def is_whole(self) -> bool:
        """Whether its type is that of whole numbers."""
        return bool(pa.types.is_integer(self.type))

    @property
    def present(self) -> int:
        """Rows looked at that have a value."""
        return len(self.missing_N) - int(self.missing_N.sum())


@dataclass(frozen=True)
class Facts:
    """What a look found: the columns by name, and how many of the rows it took."""

    columns: dict[str, ColumnFacts]
    rows: int
    rows_looked_at: int

    @property
    def is_all(self) -> bool:
        """Whether every row was looked at."""
        return self.rows_looked_at == self.rows


def look(manifest: Manifest) -> Facts:
    """Read rows and describe the columns of numbers and of text; others are left out.

    Raises:
        DataError: a file cannot be read.
        LimitError: a row group cannot be held in memory.
        StorageError: an object store does not answer.

    """
    names = [
        field.name
        for field in manifest.schema
        if (is_numeric(field.type) or is_text(field.type)) and not pa.types.is_null(field.type)
    ]
    manifest = in_slices(manifest, names)
    groups = spread_groups(manifest, len(names))
    reader = RowGroupReader(manifest, names)
    tables = []
    for group in groups:
        require_room(
            decoded_nbytes(manifest, group, names),
            f"{manifest.where(group)} has {group.num_rows:,} rows and",
            "write smaller row groups: linreg-dist inspect DATA --rewrite OUT",
        )
        table = reader.read(group).select(names)
        wanted = [pa.field(name, manifest.schema.field(name).type) for name in names]
        tables.append(
            pa.table([_as(table[field.name], field.type) for field in wanted], schema=None, names=names)
        )
    rows = sum(len(table) for table in tables)
    is_all = rows == manifest.num_rows
    found = {}
    for name in names:
        chunks = [chunk for table in tables for chunk in table[name].chunks]
        kind = manifest.schema.field(name).type
        found[name] = _facts(name, kind, chunks, is_all=is_all)
    return Facts(found, manifest.num_rows, rows)


def spread_groups(manifest: Manifest, width: int) -> list[RowGroup]:
    """Return row groups that train, spread over the data, of about as many rows as are looked at."""
    groups = list(manifest.row_groups)
    most = max(1, min(MOST_ROWS, MOST_VALUES // max(1, width)))
    total = sum(group.num_rows for group in groups)
    if total <= most:
        return groups
    number = max(1, len(groups) * most // total)
    places = np.unique(np.linspace(0, len(groups) - 1, number).round().astype(int))
    return [groups[place] for place in places.tolist()]


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column as the data set has it, where files have narrower types."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return column if column.type.equals(kind) or is_text(kind) else column.cast(kind, safe=False)


def _facts(name: str, kind: pa.DataType, chunks: list[pa.Array], *, is_all: bool) -> ColumnFacts:
    if is_text(kind):
        # Files may hold text by different types.
        texts = [chunk.cast(pa.large_binary()) for chunk in chunks]
        column = pa.chunked_array(texts, pa.large_binary())
        missing_N = column.is_null().to_numpy()
        counts = column.drop_null().value_counts()
        distinct, expected = _levels(counts, is_all=is_all)
        first = counts.field("values")[0].as_py().decode("utf-8", "backslashreplace") if distinct else ""
        return ColumnFacts(name, kind, missing_N, distinct, expected, example=first)
    column = pa.chunked_array(chunks, type=chunks[0].type if chunks else kind)
    values_N = numeric_values(column).astype(np.float64, copy=False)
    missing_N = ~np.isfinite(values_N)
    kept = column.filter(pa.array(~missing_N))
    distinct, expected = _levels(kept.value_counts(), is_all=is_all)
    extremes = pc.min_max(kept).as_py() if len(kept) else {"min": None, "max": None}
    steps = np.diff(values_N[~missing_N])
    return ColumnFacts(
        name,
        kind,
        missing_N,
        distinct,
        expected,
        least=extremes["min"],
        most=extremes["max"],
        example=str(extremes["min"]),
        values_N=np.where(missing_N, np.nan, values_N),
        in_order=bool(steps.size and ((steps > 0).all() or (steps < 0).all())),
    )


def _levels(counts: pa.StructArray, *, is_all: bool) -> tuple[int, int]:
    """Return how many different values there are, and how many are to be expected in all of the data."""
    distinct = len(counts)
    if is_all:
        return distinct, distinct
    times = counts.field("counts").to_numpy(zero_copy_only=False)
    once, twice = int((times == 1).sum()), int((times == 2).sum())
    return distinct, distinct + round(once * (once - 1) / (2 * (twice + 1)))
