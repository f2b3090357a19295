from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.data.rows import _split_limit, _split_salt, hash_split
from linreg_dist.kernels.calls import split_rows


@given(
    num_rows=st.integers(0, 3000),
    first_row=st.integers(0, 1 << 40),
    fraction=st.floats(0.0, 1.0, exclude_max=True),
    seed=st.integers(0, 5),
)
@settings(max_examples=60, deadline=None)
def test_the_native_split_is_the_split(num_rows, first_row, fraction, seed):
    validates = hash_split("part.parquet", first_row, num_rows, fraction, seed)
    salt, limit = _split_salt("part.parquet", seed), _split_limit(fraction)
    train, validation = split_rows(salt, first_row, limit, num_rows)
    np.testing.assert_array_equal(train, np.flatnonzero(~validates))
    np.testing.assert_array_equal(validation, np.flatnonzero(validates))
