from __future__ import annotations

import ctypes

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linreg_dist.data.block import BlockBuilder, Shift
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.in_place import ColumnsInPlace
from linreg_dist.errors import DataError
from linreg_dist.stats.column_moments import moments_of_block, moments_of_columns
from linreg_dist.stats.moments import Moments
from tests.data.reading import Opened, open_data_set
from tests.parquet import write_parquet

NAMES = (("a", "b"), ("y",))


def builder_of(opened: Opened, *, dtype=np.float32, shift=(0.0, 0.0, 0.0), shuffle=False) -> BlockBuilder:
    kinds = tuple(column.settle(None, opened.spec) for column in opened.columns.kinds)
    return BlockBuilder(
        opened.manifest,
        opened.columns,
        opened.spec,
        Encoding(kinds),
        Shift(np.array(shift[:2]), np.array(shift[2:])),
        dtype=dtype,
        shuffle=shuffle,
        seed=0,
        native=True,
    )


def columns_of(found: ColumnsInPlace, num_rows: int) -> list[np.ndarray]:
    kind = ctypes.c_float if found.dtype == np.float32 else ctypes.c_double
    return [np.ctypeslib.as_array((kind * num_rows).from_address(at)) for at in found.addresses_Z.tolist()]


def moments_in_place(found: ColumnsInPlace, first: int, end: int) -> Moments | None:
    return moments_of_columns(found.dtype, found.addresses_Z, found.w_N, found.rows_M, first, end, NAMES)


@st.composite
def jobs(draw):
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    num_rows = draw(st.sampled_from([2, 7, 300, 2500]))
    columns = {name: (rng.normal(size=num_rows) + 3).astype(np.float32) for name in ("a", "b", "y", "w")}
    columns["w"] = np.abs(columns["w"])
    columns["f"] = np.arange(num_rows)
    if draw(st.booleans()):
        columns["b"] = rng.integers(-9, 9, num_rows).astype(np.int16)
    else:
        for gap in draw(st.lists(st.sampled_from([np.nan, np.inf]), max_size=2)):
            columns["b"][rng.integers(num_rows)] = gap
    if draw(st.booleans()):
        columns["w"][: num_rows // 3] = 0
    columns = {name: values.tolist() if name == "a" else values for name, values in columns.items()}
    if draw(st.booleans()):
        columns["a"][num_rows // 2] = None
    data = {"features": ["a", "b"], "missing": "drop"}
    data |= draw(st.sampled_from([{}, {"weight": "w"}]))
    data |= draw(st.sampled_from([{}, {"filter": [["f", "<", num_rows // 2]]}]))
    data |= {
        "validation": draw(
            st.sampled_from([{"method": "none"}, {"method": "hash", "fraction": 0.3, "seed": 3}])
        )
    }
    return columns, data, draw(st.sampled_from([(0.0, 0.0, 0.0), (3.0, 0.0, 2.5)]))


@given(job=jobs())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_columns_in_place_hold_the_rows_of_the_block_and_their_moments_have_its_bits(tmp_path, job):
    columns, data, shift = job
    opened = open_data_set(write_parquet(tmp_path / "a.parquet", columns), **data)
    (group,) = opened.manifest.row_groups
    block, selection = builder_of(opened, shift=shift).build(group)
    builder = builder_of(opened, shift=shift)
    found = builder.in_place(group)
    assert found is not None
    parts = [(0, found.num_train), (found.num_train, found.num_rows)]
    moments = [moments_in_place(found, *part) for part in parts]
    if None in moments:  # a gap that only the sums showed
        assert not found.is_checked
        builder.expect_gaps()
        found = builder.in_place(group)
        parts = [(0, found.num_train), (found.num_train, found.num_rows)]
        moments = [moments_in_place(found, *part) for part in parts]
    assert (found.num_train, found.num_rows) == (block.num_train, block.num_rows)
    assert found.selection.missing == selection.missing
    assert (found.selection.filtered, found.selection.weightless) == (
        selection.filtered,
        selection.weightless,
    )
    rows = found.rows_M if len(found.rows_M) else np.arange(found.num_rows)
    z_NZ = np.stack([column[rows] for column in columns_of(found, group.num_rows)], axis=1)
    np.testing.assert_array_equal(z_NZ, np.concatenate([block.x_ND, block.y_NK], axis=1))
    for part, mine in zip(parts, moments, strict=True):
        rows = block.part(slice(*part))
        theirs = moments_of_block(rows, NAMES)
        assert (mine.n, mine.sum_w, mine.sum_w2) == (theirs.n, theirs.sum_w, theirs.sum_w2)
        assert mine.mean.tobytes() == theirs.mean.tobytes()
        assert mine.cross.tobytes() == theirs.cross.tobytes()
        plain = Moments.from_block(
            rows.x_ND, rows.y_NK, rows.w_N, feature_names=NAMES[0], target_names=NAMES[1]
        )
        assert (mine.n, mine.n_zero_weight) == (plain.n, plain.n_zero_weight)
        np.testing.assert_allclose(mine.mean, plain.mean, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(mine.cross, plain.cross, rtol=1e-12, atol=1e-12 * (1 + mine.n))


def test_columns_that_a_block_has_to_make_are_left_to_it(tmp_path):
    columns = {"a": ["x", "y", "x"], "b": [1.0, 2.0, None], "y": [0.0, 1.0, 2.0], "w": [1.0, -1.0, 1.0]}
    path = write_parquet(tmp_path / "a.parquet", columns)
    group = open_data_set(path).manifest.row_groups[0]
    numbers = {"features": ["b"]}

    def in_place(shuffle=False, **data):
        opened = open_data_set(path, **data)
        kinds = tuple(column for column in opened.columns.kinds if column.name == "b")
        width = len(Encoding(kinds).names)
        shift = Shift(np.zeros(width), np.zeros(1))
        return BlockBuilder(
            opened.manifest,
            opened.columns,
            opened.spec,
            Encoding(kinds),
            shift,
            dtype=np.float64,
            shuffle=shuffle,
            seed=0,
            native=True,
        ).in_place(group)

    assert in_place(**numbers, missing="drop") is not None
    assert in_place(**numbers, missing="drop", shuffle=True) is None
    assert in_place(**numbers, missing="drop", weight="w") is None  # a negative weight: a block says so
    nothing = in_place(**numbers, missing="drop", filter=[["b", ">", 5.0]])
    assert (nothing.num_train, nothing.num_rows, nothing.selection.filtered) == (0, 0, 3)


def test_a_number_beyond_the_type_is_refused_by_name(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"a": [1e39, 0.0], "b": [1.0, 2.0], "y": [0.0, 1.0]})
    opened = open_data_set(path, features=["a", "b"])
    with pytest.raises(DataError, match=r"column 'a' has values as large as 1e\+39"):
        builder_of(opened).in_place(opened.manifest.row_groups[0])
