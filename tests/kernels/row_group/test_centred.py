from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from linreg_dist.kernels.calls import address_of, row_moments
from tests.kernels.pieces import at_offset, problems

NONE = np.empty(0, dtype=np.int64)


def moments_of(columns, w_N, rows, first, end):
    addresses_Z = np.array([address_of(column) for column in columns], dtype=np.int64)
    return row_moments(columns[0].dtype, addresses_Z, w_N, rows, first, end)


@given(problem=problems(), far=st.sampled_from([0.0, 1e4]), skip=st.integers(1, 15), seed=st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_moments_are_numpys_in_float64_wherever_the_rows_are(problem, far, skip, seed):
    z_ZN = np.concatenate([problem.x_DN, problem.y_KN])
    if not z_ZN.shape[1]:
        return
    z_ZN[0] += far
    rows = np.random.default_rng(seed).permutation(z_ZN.shape[1])
    end = int(rows[0]) + 1
    columns, moved = ([at_offset(column, by) for column in z_ZN] for by in (0, skip))
    for listed in (NONE, rows):
        chosen = (rows if len(listed) else np.arange(len(rows)))[:end]
        z, w = z_ZN[:, chosen].astype(np.float64), problem.weights_N()[chosen]
        shift_Z, sums_Z, products_ZZ = moments_of(columns, problem.w_N, listed, 0, end)
        if problem.w_N is None:
            mean = z.mean(1)
            np.testing.assert_allclose(shift_Z + sums_Z, mean, rtol=1e-12, atol=1e-12)
        else:
            mean = shift_Z
            np.testing.assert_allclose(sums_Z, (z - mean[:, None]) @ w, rtol=1e-11, atol=1e-9)
        centred = z - mean[:, None]
        bound = np.abs(centred * w) @ np.abs(centred).T
        assert (np.abs(products_ZZ - (centred * w) @ centred.T) <= 1e-11 * bound + 1e-9).all()
        assert (products_ZZ == products_ZZ.T).all()
        w_N = None if problem.w_N is None else at_offset(problem.w_N, skip)
        again = moments_of(moved, w_N, listed, 0, end)
        gathered = [np.ascontiguousarray(column[chosen]) for column in z_ZN]
        weights = None if problem.w_N is None else np.ascontiguousarray(problem.w_N[chosen])
        together = moments_of(gathered, weights, NONE, 0, end)
        for other in (again, together):
            assert [part.tobytes() for part in other] == [
                part.tobytes() for part in (shift_Z, sums_Z, products_ZZ)
            ]


def test_a_constant_column_has_no_spread_at_all_and_a_missing_value_no_moments():
    x = np.full((2, 999), 1e7 + 1 / 3)
    x[1] = np.arange(999)
    _, _, products = moments_of(list(x), None, NONE, 0, 999)
    assert products[0].tolist() == [0.0, 0.0]
    for value in (np.nan, np.inf, 1e200):
        x[0, 700] = value
        assert moments_of(list(x), None, NONE, 0, 999) is None
    assert moments_of(list(x), None, NONE, 0, 700) is not None


def test_scratch_that_is_kept_shows_in_no_later_sum():
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(5, 777)), rng.uniform(size=777)
    before = moments_of(list(x), None, NONE, 0, 777)
    for columns, weights in ((x, w), (x[:3], None), (x[:3], w)):
        moments_of(list(columns), weights, NONE, 0, 777)
    after = moments_of(list(x), None, NONE, 0, 777)
    assert [part.tobytes() for part in after] == [part.tobytes() for part in before]
