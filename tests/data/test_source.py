from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from linreg_dist.data.source.files import find_files, is_uri, open_filesystem
from linreg_dist.errors import DataError
from tests.parquet import write_parquet

ROW = {"x": [1.0], "y": [2.0]}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with files at the top, in a subfolder, and some that are not data."""
    for name in ("b.parquet", "a.parquet", "sub/c.pq", "sub/deep/d.parquet"):
        write_parquet(tmp_path / name, ROW)
    for name in ("notes.txt", "_SUCCESS", ".hidden.parquet", "_meta/x.parquet", ".git/y.parquet"):
        write_parquet(tmp_path / name, ROW)
    return tmp_path


def keys(*paths: Path | str) -> list[str]:
    return [file.key for file in find_files([str(path) for path in paths]).files]


def test_a_file_is_found_under_its_own_name_whatever_its_ending(tmp_path):
    path = write_parquet(tmp_path / "rows.dat", ROW)
    found = find_files([str(path)])
    files, types = found.files, found.types
    assert [(file.uri, file.key, file.size) for file in files] == [
        (str(path), "rows.dat", path.stat().st_size)
    ]
    assert types == {}


def test_a_folder_gives_its_parquet_files_sorted_without_hidden_ones(tree):
    assert keys(tree) == ["a.parquet", "b.parquet", "sub/c.pq", "sub/deep/d.parquet"]
    assert keys(f"{tree}/") == keys(tree)


def test_several_paths_keep_the_order_given(tree):
    assert keys(tree / "b.parquet", tree / "a.parquet") == ["b.parquet", "a.parquet"]


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.parquet", ["a.parquet", "b.parquet"]),
        ("[!b].parquet", ["a.parquet"]),
        ("?.parquet", ["a.parquet", "b.parquet"]),
        ("sub/*.pq", ["c.pq"]),
        ("*/*.pq", ["sub/c.pq"]),
        ("s*", ["sub/c.pq", "sub/deep/d.parquet"]),
        ("*/deep", ["sub/deep/d.parquet"]),
        ("**/*.parquet", ["a.parquet", "b.parquet", "sub/deep/d.parquet"]),
        ("sub/**", ["c.pq", "deep/d.parquet"]),
        ("*.txt", ["notes.txt"]),
    ],
)
def test_a_glob_stays_within_a_folder_unless_doubled(tree, glob, expected):
    assert keys(tree / glob) == expected


def test_a_path_that_exists_is_no_glob_whatever_characters_it_has(tmp_path):
    path = write_parquet(tmp_path / "day[1].parquet", ROW)
    write_parquet(tmp_path / "day1.parquet", ROW)
    assert keys(path) == ["day[1].parquet"]


def test_a_glob_that_matches_nothing_is_an_error(tree):
    with pytest.raises(DataError, match=r"no Parquet files at .*none\*.*a glob that matches"):
        find_files([str(tree / "none*")])


def test_a_missing_path_is_an_error_that_names_it(tmp_path):
    with pytest.raises(DataError, match=r"gone does not exist; expected Parquet files, a folder or a glob"):
        find_files([str(tmp_path / "gone")])
    with pytest.raises(DataError, match="does not exist"):
        find_files([str(tmp_path / "gone" / "*.parquet")])


def test_a_folder_without_parquet_is_an_error(tmp_path):
    (tmp_path / "rows.csv").write_text("x,y\n")
    with pytest.raises(DataError, match=r"no Parquet files at .*expected a \.parquet file"):
        find_files([str(tmp_path)])


@pytest.mark.parametrize("second", ["a.parquet", "*.parquet", ""])
def test_a_file_reached_twice_is_refused(tree, second):
    with pytest.raises(DataError, match=r"a\.parquet is named 2 times by data\.path"):
        find_files([str(tree / "a.parquet"), str(tree / second) if second else str(tree)])


def test_hive_keys_are_integers_where_every_value_is_one(tmp_path):
    for folder in ("month=1", "month=02", "month=-3"):
        write_parquet(tmp_path / folder / "part.parquet", ROW)
    found = find_files([str(tmp_path)])
    files, types = found.files, found.types
    assert types == {"month": pa.int64()}
    assert sorted(file.partition["month"] for file in files) == [-3, 1, 2]


@pytest.mark.parametrize("value", ["--5", "-", "1.5", "9" * 30, "x", "1_0"])
def test_hive_keys_are_strings_where_one_value_is_no_integer(tmp_path, value):
    for folder in ("k=1", f"k={value}"):
        write_parquet(tmp_path / folder / "part.parquet", ROW)
    found = find_files([str(tmp_path)])
    files, types = found.files, found.types
    assert types == {"k": pa.string()}
    assert {file.partition["k"] for file in files} == {"1", value}


def test_hive_keys_are_unescaped_and_may_be_null(tmp_path):
    for folder in ("city=S%C3%A3o%20Paulo", "city=__HIVE_DEFAULT_PARTITION__", "city=a%3Db"):
        write_parquet(tmp_path / folder / "part.parquet", ROW)
    found = find_files([str(tmp_path)])
    files = found.files
    assert {file.partition["city"] for file in files} == {"São Paulo", None, "a=b"}


def test_a_file_outside_the_hive_folders_has_a_null_key(tmp_path):
    write_parquet(tmp_path / "year=2013" / "month=1" / "part.parquet", ROW)
    write_parquet(tmp_path / "year=2014" / "part.parquet", ROW)
    found = find_files([str(tmp_path)])
    files, types = found.files, found.types
    assert [file.partition for file in files] == [{"year": 2013, "month": 1}, {"year": 2014, "month": None}]
    assert types == {"year": pa.int64(), "month": pa.int64()}


def test_a_file_uri_is_found_as_its_path_is(tree):
    found = find_files([f"file://{tree}"])
    files = found.files
    assert [file.key for file in files] == keys(tree)
    assert files[0].uri == f"file://{tree}/a.parquet"
    filesystem, path = open_filesystem(files[0].uri)
    with filesystem.open_input_file(path) as source:
        assert source.read()[:4] == b"PAR1"


def test_an_unknown_scheme_is_an_error_that_lists_known_ones():
    assert is_uri("warp://x")
    with pytest.raises(DataError, match=r"cannot open warp://x: .*s3://, gs://"):
        open_filesystem("warp://x")
