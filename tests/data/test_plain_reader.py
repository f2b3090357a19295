from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from linreg_dist.data.plain_reader import PlainReader
from linreg_dist.data.reader import RowGroupReader
from linreg_dist.data.readers import decode
from linreg_dist.data.source.manifest import Manifest, read_manifest
from tests.parquet import write_parquet


@pytest.fixture
def files(tmp_path: Path) -> Manifest:
    rng = np.random.default_rng(0)
    for number in range(3):
        table = pa.table({name: rng.normal(size=1000).astype(np.float32) for name in ("a", "b", "c")})
        pq.write_table(table, tmp_path / f"{number}.parquet", row_group_size=170)
    return read_manifest([str(tmp_path)])


def test_what_it_reads_on_many_threads_and_counts_is_what_the_reader_of_all_files_does(
    files: Manifest,
) -> None:
    plain, usual = PlainReader(files, ["c", "a"]), RowGroupReader(files, ["c", "a"])
    with ThreadPoolExecutor(4) as pool:
        tables = list(pool.map(plain.read, files.row_groups))
    assert tables == [usual.read(group) for group in files.row_groups]
    assert plain.bytes_read == usual.bytes_read > 0
    assert plain.bytes_read == usual.bytes_read  # counted once


def test_what_takes_more_than_reading_is_left_to_the_other_reader(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    write_parquet(tmp_path / "day=1" / "a.parquet", {"x": [1.0], "n": pa.array([None], pa.null())})
    manifest = read_manifest([str(tmp_path)])
    for columns in (["x", "day"], ["n"], ["x", "other"], []):
        assert PlainReader(manifest, columns).read(manifest.row_groups[0]) is None
    (group,) = manifest.row_groups
    assert PlainReader(manifest, ["x"]).read(replace(group, span=(0, 1))) is None
    assert PlainReader(manifest, ["x"]).read(group).column("x").to_pylist() == [1.0]
    decode.enable(is_on=True)
    try:
        assert PlainReader(manifest, ["x"]).read(group) is None
    finally:
        decode.enable(is_on=False)


def test_a_file_that_is_gone_damaged_or_another_is_left_to_who_says_so(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", {"x": np.arange(100.0)})
    manifest = read_manifest([str(path)])
    (group,) = manifest.row_groups
    path.write_bytes(path.read_bytes()[:50])
    assert PlainReader(manifest, ["x"]).read(group) is None
    write_parquet(path, {"x": [1.0]})
    assert PlainReader(manifest, ["x"]).read(group) is None
    path.unlink()
    assert PlainReader(manifest, ["x"]).read(group) is None


def test_a_file_that_is_replaced_during_a_pass_is_read_to_its_end(files: Manifest, tmp_path: Path) -> None:
    plain = PlainReader(files, ["a"])
    first, second = files.row_groups[:2]
    whole = pq.read_table(tmp_path / "0.parquet").column("a")
    assert plain.read(first) is not None
    write_parquet(tmp_path / "new", {"a": [1.0]})
    (tmp_path / "new").replace(tmp_path / "0.parquet")
    read = plain.read(second).column("a")
    assert read.to_pylist() == whole.slice(second.first_row, second.num_rows).to_pylist()
