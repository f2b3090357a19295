from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.data.gather import RowRuns, gather_finite
from linreg_dist.data.rows import _split_limit, _split_salt, hash_split
from linreg_dist.kernels.calls import split_rows
from tests.kernels.pieces import at_offset


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


@given(
    num_rows=st.integers(0, 1000),
    length=st.sampled_from([1, 7, 64]),
    is_listed=st.booleans(),
    shift=st.sampled_from([0.0, 3.0, 1e8]),
    types=st.tuples(*[st.sampled_from([np.float32, np.float64])] * 2),
    bad=st.none() | st.sampled_from([np.nan, np.inf, -np.inf, 1e300]),
    skip=st.integers(0, 9),
    seed=st.integers(0, 9),
)
@settings(max_examples=120, deadline=None)
def test_rows_are_taken_as_numpy_takes_them_and_what_is_not_finite_is_noticed(
    num_rows, length, is_listed, shift, types, bad, skip, seed
):
    rng = np.random.default_rng(seed)
    with np.errstate(over="ignore"):
        values = (3.0 + rng.normal(size=num_rows)).astype(types[0])
        if bad is not None and num_rows:
            values[rng.integers(num_rows)] = bad
        rows = RowRuns(num_rows, length, rng.permutation(num_rows // length))
        expected = (values[np.asarray(rows)].astype(np.float64) - shift).astype(types[1])
    out = np.zeros(num_rows, types[1])
    chosen = np.asarray(rows) if is_listed else rows
    is_finite = gather_finite(at_offset(values, skip), chosen, out, shift)
    assert out.tobytes() == expected.tobytes()
    assert is_finite == np.isfinite(expected).all()
