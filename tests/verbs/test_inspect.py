"""`inspect` says what the footers say, and advises where a change of the files would help."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from linreg_dist.verbs.inspect import inspect
from tests.run.flights import FLIGHTS


def test_the_flights_are_described() -> None:
    found = inspect(str(FLIGHTS))
    assert (found.files, found.rows) == (12, 336_776)
    columns = {column.name: column for column in found.columns}
    assert columns["arr_delay"].nulls == 9_430
    assert columns["carrier"].use == "levels"
    assert columns["month"].use == "number, from the folder's name"
    assert columns["time_hour"].use == "not usable"
    assert any("time_hour" in sentence for sentence in found.advice)
    json.dumps(found.to_json(), allow_nan=False)


def test_dictionary_encoded_floats_and_few_large_row_groups_are_pointed_out(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=200_000)
    pq.write_table(pa.table({"x": x, "y": x}), tmp_path / "a.parquet", row_group_size=100_000)
    advice = " ".join(inspect(str(tmp_path)).advice)
    assert "dictionary-encoded (x, y)" in advice
    assert "2 row groups" in advice


def test_well_written_files_get_no_advice(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=200_000)
    schema = pa.schema([pa.field(name, pa.float64(), nullable=False) for name in ("x", "y")])
    table = pa.table({"x": x, "y": x}, schema=schema)
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=20_000, use_dictionary=False)
    assert inspect(str(tmp_path)).advice == []
