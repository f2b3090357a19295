"""Files of predictions while they are written."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pyarrow as pa
import pytest

from linreg_dist.storage import ObjectPath
from linreg_dist.verbs.scoring.files import FileWriter

ROWS = pa.table({"prediction": [1.0, 2.0]})


def test_an_object_is_written_first_where_nobody_else_can_read_it_and_goes_if_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    target = ObjectPath.of("s3://nobody/a.parquet?endpoint_override=localhost:1")
    writer = FileWriter([target])
    writer.write(0, ROWS)
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    writer.__exit__(KeyboardInterrupt)
    assert not list(tmp_path.iterdir())


def test_a_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    targets = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    with FileWriter(targets) as writer:
        writer.write(0, ROWS)
        assert [file.name for file in tmp_path.iterdir()] == [".a.parquet.tmp"]
        writer.write(1, ROWS)
        assert {file.name for file in tmp_path.iterdir()} == {"a.parquet", ".b.parquet.tmp"}
    assert {file.name for file in tmp_path.iterdir()} == {"a.parquet", "b.parquet"}
