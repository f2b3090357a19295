from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from linreg_dist.data.reader import RowGroupReader, category_codes, numeric_values
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.errors import DataError
from tests.parquet import write_parquet


def read_all(path, columns, dictionary=()):
    manifest = read_manifest([str(path)])
    reader = RowGroupReader(manifest, columns, dictionary)
    return pa.concat_tables([reader.read(group) for group in manifest.row_groups], promote_options="default")


def test_only_the_columns_asked_for_are_read(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"x": [1.0], "x.y": [2.0], "z": [3.0]})
    table = read_all(tmp_path, ["z", "x.y"])
    assert table.select(["z", "x.y"]).to_pylist() == [{"z": 3.0, "x.y": 2.0}]
    assert "x" not in table.column_names


def test_a_column_whose_name_begins_another_is_not_confused_with_it(tmp_path):
    write_parquet(tmp_path / "a.parquet", {"x": [1.0], "x.y": [2.0]})
    assert read_all(tmp_path, ["x"]).column("x").to_pylist() == [1.0]


def test_row_groups_come_in_order_and_hive_keys_as_constants(tmp_path):
    write_parquet(tmp_path / "k=1" / "s=u" / "a.parquet", {"x": np.arange(5.0)}, row_group_size=2)
    write_parquet(tmp_path / "k=2" / "s=__HIVE_DEFAULT_PARTITION__" / "a.parquet", {"x": [9.0]})
    table = read_all(tmp_path, ["k", "x", "s"], dictionary=["s"])
    assert table.column("x").to_pylist() == [0.0, 1.0, 2.0, 3.0, 4.0, 9.0]
    assert table.column("k").to_pylist() == [1, 1, 1, 1, 1, 2]
    assert table.column("s").to_pylist() == ["u"] * 5 + [None]


@pytest.mark.parametrize(
    "values",
    [
        pa.array(["b", None, "a", "b"]),
        pa.array(["b", None, "a", "b"], pa.large_string()),
        pa.array(["b", None, "a", "b"], pa.string_view()),
        pa.array(["b", None, "a", "b"]).dictionary_encode(),
        pa.array([7, None, 3, 7]),
        pa.array([True, None, False, True]),
    ],
    ids=lambda values: str(values.type)[:10],
)
def test_categories_of_any_type_come_back_as_codes_and_levels(tmp_path, values):
    write_parquet(tmp_path / "a.parquet", pa.table({"s": values}))
    codes, levels = category_codes(read_all(tmp_path, ["s"], dictionary=["s"]).column("s"))
    assert [None if code < 0 else levels[code] for code in codes] == values.to_pylist()


def test_chunks_with_different_dictionaries_are_unified():
    chunks = [pa.array(["a", "b"]).dictionary_encode(), pa.array(["c", "a"]).dictionary_encode()]
    codes, levels = category_codes(pa.chunked_array(chunks))
    assert [levels[code] for code in codes] == ["a", "b", "c", "a"]


@pytest.mark.parametrize(
    ("array", "expected", "kind"),
    [
        (pa.array([1, 2], pa.int16()), [1, 2], "i"),
        (pa.array([1, None]), [1.0, np.nan], "f"),
        (pa.array([True, False]), [1, 0], "u"),
        (pa.array([True, None]), [1.0, np.nan], "f"),
        (pa.array([Decimal("1.25"), None]), [1.25, np.nan], "f"),
        (pa.array([1.5, 2.5], pa.float32()).cast(pa.float16()), [1.5, 2.5], "f"),
        (pa.chunked_array([[1.0], [2.0]]), [1.0, 2.0], "f"),
        (pa.chunked_array([], pa.float64()), [], "f"),
    ],
)
def test_numbers_of_any_type_come_back_as_numpy_with_nan_for_null(array, expected, kind):
    values = numeric_values(array)
    np.testing.assert_array_equal(values, expected)
    assert values.dtype.kind == kind


def test_floats_without_nulls_are_not_copied():
    array = pa.array(np.arange(10.0))
    assert numeric_values(array).__array_interface__["data"][0] == array.buffers()[1].address


def test_a_file_that_vanished_is_an_error_that_names_it(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"x": [1.0]})
    manifest = read_manifest([str(path)])
    path.unlink()
    with pytest.raises(DataError, match=r"cannot read .*a\.parquet \(row group 0\)"):
        RowGroupReader(manifest, ["x"]).read(manifest.row_groups[0])


def test_a_file_that_changed_meanwhile_is_an_error(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"x": [1.0]})
    manifest = read_manifest([str(path)])
    write_parquet(path, {"x": [1.0, 2.0]})
    with pytest.raises(DataError, match=r"has 2 rows, but had 1 when the job started.*run the job again"):
        RowGroupReader(manifest, ["x"]).read(manifest.row_groups[0])


def test_damaged_pages_are_an_error_that_names_the_row_group(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", {"x": np.random.default_rng(0).normal(size=1000)})
    manifest = read_manifest([str(path)])
    content = bytearray(path.read_bytes())
    content[4:64] = bytes(60)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"cannot read .*\(row group 0\)"):
        RowGroupReader(manifest, ["x"]).read(manifest.row_groups[0])


def test_pieces_hold_the_columns_of_the_whole_in_order(tmp_path):
    folder = tmp_path / "day=3"
    folder.mkdir()
    num_rows = 300_000  # so that a piece is a single column
    columns = {"a": np.arange(num_rows), "b": -np.arange(num_rows, dtype=np.float32)}
    write_parquet(folder / "part.parquet", columns)
    manifest = read_manifest([str(tmp_path)], [])
    reader = RowGroupReader(manifest, ["day", "b", "a"])
    for group in manifest.row_groups:
        pieces = list(reader.read_pieces(group))
        assert [piece.column_names for piece in pieces] == [["day"], ["b"], ["a"]]
        whole = reader.read(group)
        for piece in pieces:
            assert piece.equals(whole.select(piece.column_names))


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "PLAIN"])
def test_text_in_pages_that_are_no_dictionaries_is_read(tmp_path, encoding):
    texts = ["b", "a", None, "é"] * 25
    table = pa.table({"c": texts, "raw": [None if text is None else text.encode() for text in texts]})
    pq.write_table(
        table,
        tmp_path / "a.parquet",
        use_dictionary=False,
        column_encoding={"c": encoding, "raw": encoding},
        row_group_size=50,
    )
    manifest = read_manifest([str(tmp_path)])
    reader = RowGroupReader(manifest, ["c", "raw"], ["c", "raw"])
    for group in manifest.row_groups:
        read = reader.read(group)
        for name in ("c", "raw"):
            codes, levels = category_codes(read.column(name))
            want = table.column(name).slice(group.first_row, group.num_rows).to_pylist()
            assert [None if code < 0 else levels[code] for code in codes] == want


def test_a_null_among_the_levels_of_a_dictionary_is_a_missing_value():
    levels = pa.array(["a", None, "b"])
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None]), levels)
    codes, found = category_codes(column)
    assert [found[code] if code >= 0 else None for code in codes] == ["a", None, "b", None]


def test_a_page_that_does_not_match_its_checksum_is_refused(tmp_path):
    values = np.arange(1000.0)
    path = tmp_path / "a.parquet"
    options = {"use_dictionary": False, "compression": "none", "write_page_checksum": True}
    pq.write_table(pa.table({"x": values}), path, **options)
    content = bytearray(path.read_bytes())
    content[content.find(values.tobytes()) + 807] ^= 0x28
    path.write_bytes(content)
    manifest = read_manifest([str(path)])
    with pytest.raises(DataError, match=r"cannot read .*a\.parquet \(row group 0\).*[Cc][Rr][Cc]"):
        RowGroupReader(manifest, ["x"]).read(manifest.row_groups[0])


def test_a_file_without_dictionaries_is_read_though_another_thread_finds_that_out_first(
    tmp_path, monkeypatch
):
    table = pa.table({"x": np.arange(20.0), "text": [f"t{j % 3}" for j in range(20)]})
    how = {"use_dictionary": False, "column_encoding": {"text": "DELTA_BYTE_ARRAY"}}
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=10, **how)
    manifest = read_manifest([str(tmp_path)])
    reader = RowGroupReader(manifest, ["x", "text"], ["text"])
    monkeypatch.setattr("linreg_dist.data.reader._PIECE_BYTES", 1)  # a column at a time
    pieces = reader.read_pieces(manifest.row_groups[1])
    next(pieces)  # the file is open, and its text is to be read as a dictionary
    reader.read(manifest.row_groups[0])
    assert next(pieces)["text"].to_pylist() == table["text"].to_pylist()[10:]
