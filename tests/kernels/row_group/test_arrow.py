from __future__ import annotations

import ctypes

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.kernels.calls import addresses_in


@given(
    num_rows=st.integers(1, 50),
    skip=st.integers(0, 9),
    places=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(deadline=None)
def test_columns_are_found_in_a_batch_and_in_a_part_of_one(num_rows, skip, places, dtype):
    values = np.arange(4 * (num_rows + skip), dtype=dtype).reshape(4, -1)
    batch = pa.record_batch([pa.array(column) for column in values], names=list("abcd")).slice(skip)
    held = batch.__arrow_c_array__()
    found = addresses_in(held[1], np.array(places, dtype=np.int64), np.dtype(dtype))
    kind = ctypes.c_float if dtype == np.float32 else ctypes.c_double
    for place, at in zip(places, found.tolist(), strict=True):
        column = np.ctypeslib.as_array((kind * num_rows).from_address(at))
        assert column.tolist() == values[place, skip:].tolist()


def test_a_null_in_a_wanted_column_is_told():
    columns = [pa.array([1.0, None]), pa.array([1.0, 2.0])]
    held = pa.record_batch(columns, names=["a", "b"]).__arrow_c_array__()
    assert addresses_in(held[1], np.array([1, 0]), np.dtype(np.float64)) is None
    assert addresses_in(held[1], np.array([1]), np.dtype(np.float64)) is not None
