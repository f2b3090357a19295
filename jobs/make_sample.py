"""Write the sample data of the package: every twelfth flight of `jobs/data/flights`.

Run it again to get the same bytes (with the same pyarrow version)::

    python jobs/make_sample.py [OUTPUT_DIRECTORY]
"""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "jobs" / "data" / "flights"
DEFAULT_OUTPUT = ROOT / "linreg_dist" / "samples" / "flights"
EVERY = 12
COLUMNS = [
    "year",
    "day",
    "dep_delay",
    "arr_delay",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance",
    "hour",
    "time_hour",
]


def sample_of(month: int) -> pa.Table:
    """Return every twelfth row of a month, without what is only known after landing."""
    table = pq.ParquetFile(SOURCE / f"month={month}" / "part-0.parquet").read(COLUMNS)
    return table.take(pa.array(range(0, len(table), EVERY)))


def main(output: Path = DEFAULT_OUTPUT) -> None:
    """Write all twelve months."""
    for month in range(1, 13):
        path = output / f"month={month}" / "part-0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(sample_of(month), path, compression="zstd", compression_level=19)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:2]))
