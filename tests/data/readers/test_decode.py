from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from linreg_dist.data.readers import decode

pytest.importorskip("polars")
TYPES = ("float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16")


def by_both(path, ordinal=0):
    footer = pq.read_metadata(path)
    names = footer.schema.names
    table = decode.decode(str(path), footer, ordinal, names, range(len(names)))
    return table, pq.ParquetFile(path).read_row_group(ordinal)


@given(
    data=st.data(),
    compression=st.sampled_from(["none", "snappy", "zstd", "gzip"]),
    version=st.sampled_from(["1.0", "2.0"]),
    dictionary=st.booleans(),
    page=st.sampled_from([64, 1 << 20]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_polars_decodes_plain_numbers_to_the_same_bits(
    tmp_path, data, compression, version, dictionary, page
):
    num_rows = data.draw(st.integers(1, 40))
    columns = {}
    for number, kind in enumerate(data.draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=4))):
        values = data.draw(st_numpy.arrays(kind, num_rows))
        gaps = data.draw(st.lists(st.integers(0, num_rows - 1), max_size=3))
        mask = np.isin(np.arange(num_rows), gaps)
        columns[f"c {number}"] = pa.array(values, mask=mask)
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.parquet"
    pq.write_table(
        pa.table(columns),
        path,
        row_group_size=max(1, num_rows // 2),
        compression=compression,
        data_page_version=version,
        use_dictionary=dictionary,
        data_page_size=page,
    )
    for ordinal in range(pq.read_metadata(path).num_row_groups):
        mine, theirs = by_both(path, ordinal)
        assert mine is not None
        assert mine.schema.types == theirs.schema.types
        for name in theirs.column_names:
            a, b = mine.column(name).combine_chunks(), theirs.column(name).combine_chunks()
            assert a.is_valid().equals(b.is_valid())
            bits = [np.asarray(column.drop_null()).tobytes() for column in (a, b)]
            assert bits[0] == bits[1]


def test_pyarrow_keeps_what_polars_would_read_slowly_unchecked_or_otherwise(tmp_path):
    numbers = pa.table({"a": np.arange(10.0), "b": np.arange(10.0)})
    odd = {
        "text": (pa.table({"a": ["x", "y"]}), {}),
        "nested": (pa.table({"a": [[1.0], [2.0]]}), {}),
        "time": (pa.table({"a": pa.array([1, 2], pa.timestamp("ms"))}), {}),
        "split": (numbers, {"use_dictionary": False, "column_encoding": "BYTE_STREAM_SPLIT"}),
        "checksums": (numbers, {"write_page_checksum": True}),
    }
    for name, (table, options) in odd.items():
        pq.write_table(table, tmp_path / f"{name}.parquet", **options)
        assert by_both(tmp_path / f"{name}.parquet")[0] is None, name
    pq.write_table(numbers, tmp_path / "plain.parquet")
    assert by_both(tmp_path / "plain.parquet")[0] is not None
    footer = pq.read_metadata(tmp_path / "plain.parquet")
    assert decode.decode(str(tmp_path / "gone.parquet"), footer, 0, ["a"], [0]) is None
