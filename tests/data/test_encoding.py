from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linreg_dist.data.design.categorical import CategoricalColumn
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.errors import DataError

MIXED = Encoding(
    (
        NumericColumn("a", 0.5),
        CategoricalColumn("c", ("x", "y", "z"), "zero", (0.25, 0.5)),
        NumericColumn("b"),
        CategoricalColumn("one", (7,)),
    )
)


def encode(encoding, numeric=None, categorical=None, rows=slice(None), dtype=np.float64, shift=None, n=None):
    if n is None:
        n = len(
            np.arange(
                len(next(iter((numeric or {}).values()), next(iter((categorical or {}).values()), [[]])[0]))
            )[rows]
        )
    out_DN = np.full((encoding.num_encoded, n), np.nan, dtype=dtype)
    encoding.encode(
        {**(numeric or {}), **(categorical or {})}, rows, out_DN, shift, "file.parquet (row group 3)"
    )
    return out_DN


def test_an_encoding_survives_json():
    again = Encoding.from_json(json.loads(json.dumps(MIXED.to_json())))
    assert again == MIXED
    assert again.names == ("a", "c=y", "c=z", "b")


def test_spans_cover_the_encoded_columns_once_in_order():
    assert [(column.name, start, stop) for column, start, stop in MIXED.spans()] == [
        ("a", 0, 1),
        ("c", 1, 3),
        ("b", 3, 4),
        ("one", 4, 4),
    ]
    assert MIXED.num_encoded == 4


@given(st.lists(st.sampled_from(["b", "a", "d", "c", ""]), min_size=1, max_size=50))
def test_levels_are_encoded_as_pandas_dummies_without_the_first(values):
    levels = sorted(set(values))
    codes, found = pd.factorize(np.array(values, dtype=object))
    encoding = Encoding((CategoricalColumn("c", tuple(levels)),))
    encoded = encode(encoding, categorical={"c": (codes.astype(np.int64), list(found))})
    dummies = pd.get_dummies(pd.Series(values), drop_first=True, dtype=float, prefix="c", prefix_sep="=")
    np.testing.assert_array_equal(encoded.T, dummies.to_numpy())
    assert encoding.names == tuple(dummies.columns)


def test_a_level_of_no_row_is_a_column_of_zeros():
    encoding = Encoding((CategoricalColumn("c", ("a", "never", "b")),))
    encoded = encode(encoding, categorical={"c": (np.array([1, 0]), ["a", "b"])})
    np.testing.assert_array_equal(encoded, [[0, 0], [1, 0]])


def test_unseen_levels_are_an_error_that_counts_them_and_says_where():
    encoding = Encoding((CategoricalColumn("c", ("a", "b")),))
    levels = ["a", *"uvwxyz"]
    codes = np.array([0, 1, 2, 3, 4, 5, 6, 6])
    with pytest.raises(DataError) as raised:
        encode(encoding, categorical={"c": (codes, levels)})
    message = str(raised.value)
    assert message.startswith("file.parquet (row group 3): column 'c' has 7 rows with 6 level(s)")
    assert "'u', 'v', 'w', 'x', 'y' and 1 more" in message
    assert "data.unseen: zero" in message
    assert "base level 'a'" in message


def test_an_unseen_level_in_a_row_that_is_not_taken_does_not_matter():
    encoding = Encoding((CategoricalColumn("c", ("a", "b")),))
    codes = np.array([0, 2, 1])
    taken = encode(encoding, categorical={"c": (codes, ["a", "b", "new"])}, rows=np.array([0, 2]))
    np.testing.assert_array_equal(taken, [[0, 1]])


def test_unseen_levels_score_as_the_base_where_told_so():
    encoding = Encoding((CategoricalColumn("c", ("a", "b"), "zero"),))
    encoded = encode(encoding, categorical={"c": (np.array([0, 1, 2]), ["new", "b", "a"])})
    np.testing.assert_array_equal(encoded, [[0, 1, 0]])


def test_missing_values_take_their_fill():
    numeric = {"a": np.array([1.0, np.nan, np.inf]), "b": np.zeros(3)}
    categorical = {"c": (np.array([-1, 0, 1]), ["x", "z"]), "one": (np.array([0, 0, -1]), [7])}
    encoded = encode(MIXED, numeric, categorical)
    np.testing.assert_array_equal(encoded[0], [1.0, 0.5, 0.5])
    np.testing.assert_array_equal(encoded[1:3], [[0.25, 0, 0], [0.5, 0, 1]])


def test_a_fill_is_shifted_like_the_values():
    encoding = Encoding((NumericColumn("a", 1e6),))
    values = np.array([1e6 + 1, np.nan])
    encoded = encode(encoding, {"a": values}, dtype=np.float32, shift=np.array([1e6]))
    np.testing.assert_array_equal(encoded, [[1.0, 0.0]])


def test_a_shift_keeps_the_digits_that_float32_would_lose():
    values = 1e9 + np.arange(5) / 8
    shifted = encode(Encoding((NumericColumn("a"),)), {"a": values}, dtype=np.float32, shift=np.array([1e9]))
    np.testing.assert_array_equal(shifted, [np.arange(5) / 8])


def test_a_number_beyond_float32_is_an_error_and_infinity_is_not():
    encoding = Encoding((NumericColumn("a"),))
    with pytest.raises(DataError, match=r"column 'a' has values as large as 4e\+38, beyond the range of flo"):
        encode(encoding, {"a": np.array([1.0, -4e38])}, dtype=np.float32)
    assert np.isinf(encode(encoding, {"a": np.array([np.inf])}, dtype=np.float32)).all()


KINDS = st.sampled_from([np.float64, np.float32, np.int64, np.int8, np.uint8])


@given(
    data=st.data(),
    num_rows=st.integers(1, 20),
    kinds=st.lists(KINDS, min_size=1, max_size=3),
    dtype=st.sampled_from([np.float32, np.float64]),
    shifted=st.booleans(),
    by_slice=st.booleans(),
)
def test_encoding_equals_a_plain_numpy_reference(data, num_rows, kinds, dtype, shifted, by_slice):
    seed = data.draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    numeric, columns = {}, []
    for i, kind in enumerate(kinds):
        values = rng.integers(0, 100, num_rows).astype(kind)
        fill = None
        if np.dtype(kind).kind == "f":
            values[rng.random(num_rows) < 0.3] = rng.choice([np.nan, np.inf, -np.inf])
            fill = float(rng.integers(0, 9)) if rng.random() < 0.8 else None
        numeric[f"n{i}"] = values
        columns.append(NumericColumn(f"n{i}", fill))
    codes = rng.integers(-1, 4, num_rows)
    columns.insert(1, CategoricalColumn("c", ("p", "q", "r"), "zero", (0.25, 0.75)))
    encoding = Encoding(tuple(columns))
    shift = rng.integers(0, 5, encoding.num_encoded).astype(float) if shifted else None
    if shift is not None:
        shift[[index for index, name in enumerate(encoding.names) if name.startswith("c=")]] = 0.0
    rows = slice(1, None, 2) if by_slice else rng.permutation(num_rows)[: max(1, num_rows // 2)]

    expected = []
    for column in columns:
        if isinstance(column, NumericColumn):
            values = numeric[column.name][rows].astype(np.float64)
            if column.fill is not None:
                values[~np.isfinite(values)] = column.fill
            expected.append(values)
        else:
            taken = codes[rows]
            for level, fill in ((1, 0.25), (2, 0.75)):
                expected.append(np.where(taken < 0, fill, (taken == level).astype(float)))
    expected_DN = np.array(expected).reshape(encoding.num_encoded, -1)
    if shift is not None:
        expected_DN = expected_DN - shift[:, None]
    got = encode(
        encoding, numeric, {"c": (codes, ["p", "q", "r", "new"])}, rows, dtype, shift, expected_DN.shape[1]
    )
    np.testing.assert_array_equal(got, expected_DN.astype(dtype))
