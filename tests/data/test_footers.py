"""A damaged footer is an error that names the file, and never the end of the process that asked."""

from __future__ import annotations

import faulthandler
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from linreg_dist.data.source.footers import describe_chunks, parse_footer, read_footer
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.errors import DataError
from linreg_dist.verbs.inspect import inspect


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    path = tmp_path / "rows.parquet"
    table = pa.table({"x": np.arange(100.0), "s": ["a", None] * 50, "y": np.zeros(100)})
    pq.write_table(table, path, row_group_size=40)
    return path


def footer_start(content: bytes) -> int:
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


def ends_the_process(path: Path) -> bool:
    """Ask pyarrow for the column chunks of a file, in a fork of this process."""
    pid = os.fork()
    if pid == 0:
        faulthandler.disable()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            footer = pq.read_metadata(path)
            for group in range(footer.num_row_groups):
                for column in range(footer.num_columns):
                    footer.row_group(group).column(column)
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


@pytest.fixture
def deadly(whole: Path) -> Path:
    """A file with one wrong byte, at which pyarrow ends its process."""
    content = whole.read_bytes()
    for place in range(footer_start(content), len(content) - 8):
        if content[place] == 2:
            whole.write_bytes(content[:place] + b"\0" + content[place + 1 :])
            if ends_the_process(whole):
                return whole
    pytest.fail("no byte of this footer ends pyarrow's process")


def test_a_footer_that_ends_the_process_of_pyarrow_is_a_data_error(deadly: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.parquet cannot be read as Parquet: .+ write it again"):
        inspect(str(deadly))
    with pytest.raises(DataError, match=r"rows\.parquet cannot"):
        describe_chunks([(str(deadly), read_footer(str(deadly)))])


def test_a_whole_file_before_a_damaged_one_is_not_blamed(deadly: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "first.parquet")
    files = [str(tmp_path / "first.parquet"), str(deadly)]
    with pytest.raises(DataError) as caught:
        describe_chunks([(file, read_footer(file)) for file in files])
    assert str(caught.value).startswith(str(deadly))


def test_column_chunks_are_described_as_pyarrow_does(whole: Path) -> None:
    (columns,) = describe_chunks([(str(whole), read_footer(str(whole)))])
    footer = pq.read_metadata(whole)
    for place, column in enumerate(columns):
        chunks = [footer.row_group(i).column(place) for i in range(3)]
        assert column.name == chunks[0].path_in_schema
        assert set(column.encodings) == {encoding for chunk in chunks for encoding in chunk.encodings}
        assert column.num_bytes == sum(chunk.total_uncompressed_size for chunk in chunks)
        assert column.codecs == ("SNAPPY",)
    assert [column.nulls for column in columns] == [0, 50, 0]


def test_no_footers_are_no_columns() -> None:
    assert describe_chunks([]) == []


@pytest.mark.parametrize("cut", [0, 4, 7, 8, 20, 200])
def test_a_file_that_was_cut_is_a_data_error(whole: Path, cut: int) -> None:
    whole.write_bytes(whole.read_bytes()[:cut])
    with pytest.raises(DataError, match=r"rows\.parquet cannot be read as Parquet"):
        read_manifest([str(whole)])


def test_a_footer_whose_rows_do_not_add_up_is_refused(whole: Path) -> None:
    content = whole.read_bytes()
    start = footer_start(content)
    wrong = 0
    for place in range(start, len(content) - 8):
        damaged = bytearray(content)
        damaged[place] ^= 0x10
        try:
            parse_footer(bytes(damaged), "f")
        except DataError as error:
            wrong += " rows and its row groups have " in str(error)
    assert wrong >= 1


def test_a_name_that_is_no_text_is_refused(whole: Path) -> None:
    content = whole.read_bytes()
    start = footer_start(content)
    place = content.index(b"s", start + 10)
    refused = 0
    while place >= 0:
        try:
            parse_footer(content[:place] + b"\xff" + content[place + 1 :], "f")
        except DataError as error:
            refused += "f cannot be read as Parquet" in str(error)
        place = content.find(b"s", place + 1)
    assert refused >= 1
