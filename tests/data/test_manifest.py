from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.errors import DataError
from tests.parquet import write_parquet


def column(num_rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(seed).normal(size=num_rows)}


def test_row_groups_are_numbered_in_file_order_with_the_rows_before_them(tmp_path):
    write_parquet(tmp_path / "a.parquet", column(25), row_group_size=10)
    write_parquet(tmp_path / "b.parquet", column(3))
    manifest = read_manifest([str(tmp_path)])
    found = [(g.index, g.file, g.ordinal, g.first_row, g.num_rows) for g in manifest.row_groups]
    assert found == [(0, 0, 0, 0, 10), (1, 0, 1, 10, 10), (2, 0, 2, 20, 5), (3, 1, 0, 0, 3)]
    assert manifest.num_rows == 28
    assert all(group.num_bytes > 0 for group in manifest.row_groups)
    assert manifest.where(manifest.row_groups[1]).endswith("a.parquet (row group 1)")


def test_an_empty_file_has_no_row_group_but_counts_as_a_file(tmp_path):
    write_parquet(tmp_path / "a.parquet", column(0))
    write_parquet(tmp_path / "b.parquet", column(4))
    manifest = read_manifest([str(tmp_path)])
    assert [file.num_rows for file in manifest.files] == [0, 4]
    assert [group.file for group in manifest.row_groups] == [1]


def test_only_empty_files_are_an_error(tmp_path):
    write_parquet(tmp_path / "a.parquet", column(0))
    with pytest.raises(DataError, match=r"holds no rows \(1 file\(s\), all empty\)"):
        read_manifest([str(tmp_path)])


def test_the_schema_is_that_of_the_first_file_with_rows_and_the_hive_keys(tmp_path):
    write_parquet(tmp_path / "k=u" / "a.parquet", pa.table({"x": pa.array([], pa.null())}))
    write_parquet(tmp_path / "k=v" / "a.parquet", column(4))
    assert read_manifest([str(tmp_path)]).schema == pa.schema({"x": pa.float64(), "k": pa.string()})


def test_a_column_in_the_file_wins_over_a_hive_key_of_the_same_name(tmp_path):
    write_parquet(tmp_path / "x=7" / "a.parquet", column(4))
    assert read_manifest([str(tmp_path)]).schema.names == ["x"]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" + 60 * b"x" + b"PAR1"])
def test_what_is_no_parquet_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "broken.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"broken\.parquet cannot be read as Parquet: "):
        read_manifest([str(tmp_path)])


def test_a_truncated_file_is_an_error(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", column(100))
    os.truncate(path, path.stat().st_size - 20)
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_manifest([str(tmp_path)])


def test_a_footer_larger_than_one_read_is_read_whole(tmp_path):
    wide = {f"a_rather_long_column_name_{i}": [float(i)] for i in range(1500)}
    path = write_parquet(tmp_path / "wide.parquet", wide)
    manifest = read_manifest([str(path)])
    assert len(manifest.schema.names) == 1500
    assert manifest.files[0].size > 1 << 17


def digest(path: Path) -> str:
    return read_manifest([str(path)]).digest


def test_the_digest_stays_when_the_data_set_moves(tmp_path):
    write_parquet(tmp_path / "old" / "k=1" / "a.parquet", column(10))
    before = digest(tmp_path / "old")
    shutil.move(tmp_path / "old", tmp_path / "new")
    assert digest(tmp_path / "new") == before


@pytest.mark.parametrize("change", ["add", "add_empty", "remove", "rename", "grow", "regroup", "rewrite"])
def test_the_digest_changes_with_the_files(tmp_path, change):
    for name in ("a", "b"):
        write_parquet(tmp_path / f"{name}.parquet", column(10))
    before = digest(tmp_path)
    a = tmp_path / "a.parquet"
    size = a.stat().st_size
    if change == "add":
        write_parquet(tmp_path / "c.parquet", column(10))
    elif change == "add_empty":
        write_parquet(tmp_path / "c.parquet", column(0))
    elif change == "remove":
        a.unlink()
    elif change == "rename":
        a.rename(tmp_path / "z.parquet")
    elif change == "grow":
        write_parquet(a, column(11))
    elif change == "regroup":
        write_parquet(a, column(10), row_group_size=5)
    else:
        write_parquet(a, column(10, seed=1))
        assert a.stat().st_size == size, "the point is another content of the same size"
    assert digest(tmp_path) != before


def test_the_digest_tells_training_from_validation_files(tmp_path):
    for name in ("a", "b"):
        write_parquet(tmp_path / f"{name}.parquet", column(10))
    a, b = str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")
    assert read_manifest([a, b]).digest != read_manifest([a], [b]).digest


def test_validation_files_have_the_validation_role(tmp_path):
    write_parquet(tmp_path / "train" / "a.parquet", column(10))
    write_parquet(tmp_path / "held" / "b.parquet", column(5))
    manifest = read_manifest([str(tmp_path / "train")], [str(tmp_path / "held")])
    assert [manifest.role(group) for group in manifest.row_groups] == ["train", "validation"]


def test_validation_files_alone_are_nothing_to_train_on(tmp_path):
    write_parquet(tmp_path / "train" / "a.parquet", column(0))
    write_parquet(tmp_path / "held" / "b.parquet", column(5))
    with pytest.raises(DataError, match="expected at least one row to train on"):
        read_manifest([str(tmp_path / "train")], [str(tmp_path / "held")])


def test_a_file_may_not_both_train_and_validate(tmp_path):
    write_parquet(tmp_path / "a.parquet", column(10))
    with pytest.raises(DataError, match=r"a\.parquet is in both data\.path and data\.validation\.path"):
        read_manifest([str(tmp_path)], [str(tmp_path / "*.parquet")])


def test_hive_keys_of_training_and_validation_must_have_one_type(tmp_path):
    write_parquet(tmp_path / "train" / "k=1" / "a.parquet", column(10))
    write_parquet(tmp_path / "held" / "k=x" / "a.parquet", column(10))
    with pytest.raises(DataError, match=r"hive key 'k' is int64 in data\.path and string in"):
        read_manifest([str(tmp_path / "train")], [str(tmp_path / "held")])


def test_two_columns_of_one_name_are_refused(tmp_path):
    table = pa.table([pa.array([1.0]), pa.array([2.0]), pa.array([3.0])], names=["x", "y", "x"])
    write_parquet(tmp_path / "a.parquet", table)
    with pytest.raises(DataError, match=r"a\.parquet has 2 columns named 'x'; expected different names"):
        read_manifest([str(tmp_path)])
