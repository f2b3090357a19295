from __future__ import annotations

import numpy as np
import pytest

from linreg_dist.data.block import Block, BlockBuilder, Shift
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.errors import DataError
from tests.data.reading import open_data_set
from tests.parquet import write_parquet


def build(opened, *, dtype=np.float32, shuffle=False, shift=None, native=False, sample=None) -> Block:
    encoding = Encoding(tuple(NumericColumn(name) for name in opened.columns.features))
    shift = shift or Shift(np.zeros(encoding.num_encoded), np.zeros(len(opened.columns.targets)))
    builder = BlockBuilder(
        opened.manifest,
        opened.columns,
        opened.spec,
        encoding,
        shift,
        dtype=dtype,
        shuffle=shuffle,
        seed=0,
        native=native,
        sample=sample,
    )
    return builder.build(opened.manifest.row_groups[0])[0]


@pytest.fixture
def path(tmp_path):
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=50) for name in ("a", "b", "y", "z")}
    columns["w"] = rng.uniform(size=50)
    columns["held"] = (np.arange(50) % 5 == 0).astype(int)
    return write_parquet(tmp_path / "a.parquet", columns)


def test_columns_are_contiguous_and_equal_the_files(path):
    opened = open_data_set(path, features=["b", "a"], target=["y", "z"], weight="w")
    block = build(opened, dtype=np.float64)
    ((_, table, _),) = opened.tables()
    assert block.x_ND.strides == (8, 400)
    assert block.y_NK.strides == (8, 400)
    np.testing.assert_array_equal(block.x_ND[:, 0], table.column("b"))
    np.testing.assert_array_equal(block.x_ND[:, 1], table.column("a"))
    np.testing.assert_array_equal(block.y_NK[:, 1], table.column("z"))
    assert block.w_N is not None
    np.testing.assert_array_equal(block.w_N, table.column("w"))
    assert (block.num_rows, block.num_train) == (50, 50)
    assert block.nbytes == 8 * 50 * 5


@pytest.mark.parametrize("shuffle", [False, True])
def test_training_rows_come_first_and_all_columns_move_together(path, shuffle):
    opened = open_data_set(
        path, features=["a"], target="y", weight="w", validation={"method": "column", "column": "held"}
    )
    block = build(opened, dtype=np.float64, shuffle=shuffle)
    assert (block.num_train, block.num_rows) == (40, 50)
    for split, rows in (("train", slice(0, 40)), ("validation", slice(40, 50))):
        for column, tensor in (("a", block.x_ND[:, 0]), ("y", block.y_NK[:, 0]), ("w", block.w_N)):
            assert tensor[rows].tolist() == opened.values(column, split, shuffle=shuffle)


def test_the_shift_is_taken_off_before_rounding(tmp_path):
    exact = np.arange(8) / 4
    path = write_parquet(tmp_path / "a.parquet", {"a": 1e8 + exact, "y": 5e8 - exact})
    block = build(open_data_set(path), shift=Shift(np.array([1e8]), np.array([5e8])))
    assert block.x_ND.dtype == np.float32
    assert block.x_ND[:, 0].tolist() == exact.tolist()
    assert block.y_NK[:, 0].tolist() == (-exact).tolist()


def test_negative_weights_are_an_error_that_counts_them(tmp_path):
    columns = {"a": [1.0, 2.0, 3.0], "w": [1.0, -1.0, -0.5], "y": [0.0, 0.0, 0.0]}
    path = write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(DataError, match=r"row group 0\): the weight column 'w' has 2 negative values"):
        build(open_data_set(path, weight="w"))


@pytest.mark.parametrize("column", ["a", "y", "w"])
def test_a_number_beyond_float32_is_an_error_that_names_the_column(tmp_path, column):
    columns = {"a": [1.0], "w": [1.0], "y": [0.0], column: [1e39]}
    path = write_parquet(tmp_path / "a.parquet", columns)
    with pytest.raises(DataError, match=rf"column '{column}' has values as large as 1e\+39, beyond the ran"):
        build(open_data_set(path, weight="w"))
    build(open_data_set(path, weight="w"), dtype=np.float64)


def test_a_row_group_without_usable_rows_is_an_empty_block(path):
    block = build(open_data_set(path, features=["a"], filter=[["a", ">", 1e9]]))
    assert (block.num_rows, block.num_train) == (0, 0)


@pytest.mark.parametrize("gap", [None, float("nan"), float("inf")])
@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_a_block_is_the_same_whether_or_not_its_rows_were_looked_at_before_they_moved(tmp_path, gap, missing):
    """A filter that keeps all rows makes the builder look first; without one it does when it meets a gap."""
    rng = np.random.default_rng(1)
    columns = {name: rng.normal(size=400).astype(np.float32).tolist() for name in ("a", "b", "y", "w")}
    columns["w"] = np.abs(columns["w"]).tolist()
    columns["f"] = list(range(400))
    if gap is not None:
        columns["b"][7] = gap
    path = write_parquet(tmp_path / "a.parquet", columns)
    common = {
        "features": ["a", "b"],
        "weight": "w",
        "missing": missing,
        "validation": {"method": "hash", "fraction": 0.3, "seed": 3},
    }
    first = build(open_data_set(path, **common), shuffle=True)
    second = build(open_data_set(path, **common, filter=[["f", ">=", 0]]), shuffle=True)
    assert first.num_train == second.num_train
    np.testing.assert_array_equal(first.x_ND, second.x_ND)
    np.testing.assert_array_equal(first.y_NK, second.y_NK)
    np.testing.assert_array_equal(first.w_N, second.w_N)


def test_large_finite_numbers_whose_sum_overflows_are_not_taken_for_missing(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"a": [3e38, 3e38, 1.0], "y": [1.0, 2.0, 3.0]})
    assert build(open_data_set(path)).x_ND[:, 0].tolist() == np.float32([3e38, 3e38, 1.0]).tolist()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("gap", [None, np.nan, np.inf, 1e39])
@pytest.mark.parametrize("validation", [{"method": "none"}, {"method": "hash", "fraction": 0.3}])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_native_kernels_fill_a_block_with_the_same_bits(tmp_path, shuffle, gap, validation, dtype):
    rng = np.random.default_rng(2)
    columns = {name: rng.normal(size=3000) + 2.0 for name in ("a", "b", "c", "y", "w")}
    columns["b"] = columns["b"].astype(np.float32)
    columns["c"] = rng.integers(0, 9, 3000)
    columns["w"] = np.abs(columns["w"])
    if gap is not None:
        columns["a"][7] = gap
    path = write_parquet(tmp_path / "a.parquet", columns)
    spec = {"target": ["y", "a"], "features": ["b", "c"], "weight": "w", "missing": "drop"}
    opened = open_data_set(path, **spec, validation=validation)
    options = {"dtype": dtype, "shuffle": shuffle, "shift": Shift(np.array([2.0, 0.0]), np.array([0.5, 0.0]))}
    if gap == 1e39 and dtype == np.float32:
        for native in (False, True):
            with pytest.raises(DataError, match=r"column 'a' has values as large as 1e\+39"):
                build(opened, native=native, **options)
        return
    plain, native = build(opened, **options), build(opened, native=True, **options)
    assert native.num_train == plain.num_train
    for mine, theirs in ((native.x_ND, plain.x_ND), (native.y_NK, plain.y_NK), (native.w_N, plain.w_N)):
        assert mine.tobytes() == theirs.tobytes()


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("gap", [None, 0, 1])
@pytest.mark.parametrize("native", [False, True])
def test_a_sample_is_every_so_many_of_the_training_rows(tmp_path, shuffle, gap, native):
    rng = np.random.default_rng(2)
    columns = {name: rng.normal(size=1000) for name in ("a", "b", "y")}
    columns["w"] = np.full(1000, -1.0)  # refused where all rows are looked at, with their number
    if gap is not None:
        columns["b"][gap] = np.nan
    path = write_parquet(tmp_path / "a.parquet", columns)
    spec = {"features": ["a", "b"], "missing": "drop", "validation": {"method": "hash", "fraction": 0.2}}
    whole = build(open_data_set(path, **spec), shuffle=shuffle, native=native)
    opened = open_data_set(path, **spec, weight="w")
    sample = build(opened, shuffle=shuffle, native=native, sample=100)
    every = whole.num_train // 100
    assert every > 1
    assert sample.num_rows == sample.num_train
    assert sample.w_N is None
    np.testing.assert_array_equal(sample.x_ND, whole.train.x_ND[::every])
    np.testing.assert_array_equal(sample.y_NK, whole.train.y_NK[::every])
    assert build(opened, shuffle=shuffle, sample=5000).num_rows == whole.num_train
