"""Columns as numpy arrays: what Arrow's own conversion gives, without pandas."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.data.reader import category_codes, numeric_values

KINDS = [pa.int8(), pa.uint16(), pa.int32(), pa.int64(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_()]


@given(
    kind=st.sampled_from(KINDS),
    values=st.lists(st.one_of(st.none(), st.integers(0, 1)), max_size=40),
    cut=st.integers(0, 20),
)
def test_values_are_those_of_arrow(kind: pa.DataType, values: list[int | None], cut: int) -> None:
    array = pa.array(values, pa.int64()).cast(kind).slice(cut)
    found = numeric_values(array)
    expected = (array.cast(pa.uint8()) if kind == pa.bool_() else array).to_numpy(zero_copy_only=False)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found, expected)


@given(
    texts=st.lists(st.sampled_from([None, "a", "b", "c"]), max_size=40),
    cut=st.integers(0, 20),
    is_encoded=st.booleans(),
)
def test_codes_point_to_the_texts(texts: list[str | None], cut: int, is_encoded: bool) -> None:
    array = pa.array(texts, pa.string())
    array = (array.dictionary_encode() if is_encoded else array).slice(cut)
    codes, levels = category_codes(array)
    assert [None if code < 0 else levels[code] for code in codes] == texts[cut:]


def test_largest_numbers_keep_their_digits_where_none_is_missing() -> None:
    array = pa.array([2**63 - 1, -(2**63)], pa.int64())
    assert numeric_values(array).tolist() == [2**63 - 1, -(2**63)]


@pytest.mark.parametrize("kind", ["int64", "float64"])
def test_pandas_is_not_loaded(kind: str) -> None:
    program = f"""
import sys, pyarrow as pa
from linreg_dist.data.reader import numeric_values
array = pa.Array.from_buffers(pa.{kind}(), 2, [pa.py_buffer(bytes([1])), pa.py_buffer(bytes(16))])
assert len(numeric_values(array)) == 2
print("pandas" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "False\n"
