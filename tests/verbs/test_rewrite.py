"""`inspect --rewrite` writes the same rows in another layout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linreg_dist as lr
from linreg_dist.cli.main import run as call
from linreg_dist.verbs.inspect import inspect
from linreg_dist.verbs.rewrite import rewrite
from tests.parquet import write_parquet


def rows_of(path: Path, columns: list[str]) -> list[tuple[Any, ...]]:
    table = ds.dataset(path, partitioning="hive").to_table(columns=columns)
    return sorted(zip(*(table.column(name).to_pylist() for name in columns), strict=True), key=repr)


def table(num_rows: int, seed: int = 0, **more: Any) -> pa.Table:
    rng = np.random.default_rng(seed)
    columns = {
        "id": np.arange(num_rows) + 1_000_000 * seed,
        "x": rng.normal(size=num_rows),
        "some": pa.array([None if i % 7 == 0 else i for i in range(num_rows)], pa.int32()),
        "text": pa.array([f"t{i % 5}" for i in range(num_rows)], pa.string()),
        "many": pa.array([[float(i), float(i)] for i in range(num_rows)], pa.list_(pa.float64())),
        "when": pa.array(range(num_rows), pa.timestamp("us")),
    }
    return pa.table({**columns, **more})


def test_the_same_rows_are_there_in_plain_row_groups(tmp_path: Path) -> None:
    for number in range(20):
        write_parquet(tmp_path / "d" / f"{number}.parquet", table(1_500, number), row_group_size=100)
    written = rewrite(str(tmp_path / "d"), tmp_path / "out")
    names = table(1).column_names
    assert rows_of(tmp_path / "out", names) == rows_of(tmp_path / "d", names)
    assert (written.files, written.rows, written.row_groups) == (1, 30_000, 3)
    (file,) = (tmp_path / "out").iterdir()
    footer = pq.read_metadata(file)
    chunks = [footer.row_group(0).column(number) for number in range(len(footer.schema))]
    encodings = {chunk.path_in_schema: chunk for chunk in chunks}
    assert not any("DICTIONARY" in each for each in encodings["x"].encodings)
    assert any("DICTIONARY" in each for each in encodings["text"].encodings)
    schema = pq.read_schema(file)
    assert [schema.field(name).nullable for name in ("id", "x", "some", "text")] == [
        False,
        False,
        True,
        False,
    ]
    found = inspect(str(tmp_path / "out"))
    assert not any("dictionary-encoded" in sentence for sentence in found.advice)


def test_hive_keys_stay_folders_whatever_part_is_given(tmp_path: Path) -> None:
    for month in (1, 2):
        for day in ("mon", "tue"):
            path = tmp_path / "d" / f"month={month}" / f"day={day}" / "p.parquet"
            write_parquet(path, table(50, month))
    names = [*table(1).column_names, "month", "day"]
    rewrite(str(tmp_path / "d"), tmp_path / "all")
    assert rows_of(tmp_path / "all", names) == rows_of(tmp_path / "d", names)
    rewrite(str(tmp_path / "d" / "month=1"), tmp_path / "one")
    assert rows_of(tmp_path / "one", names) == [row for row in rows_of(tmp_path / "d", names) if row[-2] == 1]


def test_files_of_different_schema_become_one(tmp_path: Path) -> None:
    write_parquet(
        tmp_path / "d" / "a.parquet", pa.table({"x": pa.array([1, 2], pa.int32()), "y": [1.0, 2.0]})
    )
    write_parquet(tmp_path / "d" / "b.parquet", pa.table({"y": [3.0], "x": pa.array([2**40], pa.int64())}))
    write_parquet(tmp_path / "d" / "c.parquet", pa.table({"y": [4.0]}))
    rewrite(str(tmp_path / "d"), tmp_path / "out")
    assert rows_of(tmp_path / "out", ["x", "y"]) == [(1, 1.0), (2**40, 3.0), (2, 2.0), (None, 4.0)]


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 90)), min_size=1, max_size=4),
    st.sampled_from(["snappy", "zstd", "none"]),
)
def test_any_layout_of_files_keeps_its_rows(
    tmp_path_factory: pytest.TempPathFactory, files: list[tuple[int, int]], compression: str
) -> None:
    root = tmp_path_factory.mktemp("w")
    (root / "d").mkdir()
    for number, (rows, group) in enumerate(files):
        made = table(rows, number + 1)
        pq.write_table(made, root / "d" / f"{number}.parquet", row_group_size=group, compression=compression)
    if not sum(rows for rows, _ in files):
        with pytest.raises(lr.DataError):
            rewrite(str(root / "d"), root / "out")
        return
    rewrite(str(root / "d"), root / "out")
    assert rows_of(root / "out", table(1).column_names) == rows_of(root / "d", table(1).column_names)


def test_a_fit_on_the_new_files_is_the_fit_on_the_old_ones(tmp_path: Path, train_here: Any) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=3000)
    made = pa.table({"x": x, "c": [f"c{i % 3}" for i in range(3000)], "y": 2 * x + rng.normal(size=3000)})
    write_parquet(tmp_path / "d" / "a.parquet", made, row_group_size=100)
    rewrite(str(tmp_path / "d"), tmp_path / "out")
    old, new = (train_here(tmp_path / name, name=name) for name in ("d", "out"))
    np.testing.assert_allclose(new.model.coef_, old.model.coef_, rtol=1e-10)


def test_nothing_is_written_over_or_into_the_data(tmp_path: Path) -> None:
    write_parquet(tmp_path / "d" / "a.parquet", table(10))
    write_parquet(tmp_path / "full" / "a.parquet", table(10))
    for output in ("d", "d/sub"):
        with pytest.raises(lr.SpecError):
            rewrite(str(tmp_path / "d"), tmp_path / output)
    with pytest.raises(lr.SpecError, match="is there and not empty"):
        rewrite(str(tmp_path / "d"), tmp_path / "full")
    (tmp_path / "file").touch()
    with pytest.raises(lr.SpecError, match="is there and not empty"):
        rewrite(str(tmp_path / "d"), tmp_path / "file")


def test_a_damaged_file_ends_it_and_leaves_no_half_file(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "d" / "a.parquet", table(5000))
    raw = bytearray(path.read_bytes())
    raw[100:3000] = bytes(2900)
    path.write_bytes(raw)
    with pytest.raises(lr.DataError, match=r"cannot read .*a\.parquet"):
        rewrite(str(tmp_path / "d"), tmp_path / "out")
    assert not list((tmp_path / "out").glob("*")) if (tmp_path / "out").exists() else True


MEASURE = """
import sys
import pyarrow as pa
from linreg_dist.verbs.rewrite import rewrite
rewrite(sys.argv[1], sys.argv[2])
print(pa.default_memory_pool().max_memory())
"""


def test_one_enormous_row_group_is_never_held_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = pa.table({f"x{i}": rng.normal(size=1_500_000) for i in range(16)})  # 192 MB in one row group
    write_parquet(tmp_path / "d" / "a.parquet", made, row_group_size=1_500_000)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path / "d"), str(tmp_path / "out")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert int(done.stdout.split()[-1]) < 128 << 20
    assert pq.read_metadata(tmp_path / "out" / "part-00000.parquet").num_row_groups > 4


def test_the_command_names_what_it_left_out_and_what_it_wrote(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_parquet(tmp_path / "d" / "a.parquet", table(10))
    (tmp_path / "d" / "again.parquet").symlink_to("a.parquet")
    assert call(["inspect", str(tmp_path / "d"), "--rewrite", str(tmp_path / "out"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rewritten"]["rows"] == 10
    assert found["skipped_columns"].keys() >= {"when"}
    assert [item["path"] for item in found["skipped_files"]] == [str(tmp_path / "d" / "again.parquet")]
    assert call(["inspect", str(tmp_path / "d")]) == 0
    out = capsys.readouterr().out
    assert "no feature: when: type timestamp" in out
    assert "not read: " in out
