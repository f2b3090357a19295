"""Delta and Iceberg tables from a spec to a result: which snapshot, which rows, and what is said of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

from linreg_dist.cli import main as cli_main
from tests.lakehouse import Lake, make_delta, make_iceberg, random_rows

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line, and return the exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        code = cli_main.run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture(params=[make_delta, make_iceberg])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A table of two snapshots."""
    made: Lake = request.param(tmp_path / "lake")
    made.append(random_rows(60, 1))
    made.append(random_rows(40, 2))
    return made


def job(lake: Lake, tmp_path: Path, name: str = "job", **data: Any) -> Path:
    spec = {
        "name": name,
        "data": {"path": lake.path, "target": "y", "features": ["a", "b"], **data},
        "run": {"storage_path": str(tmp_path / "runs")},
        "solver": {"name": "exact"},
    }
    path = tmp_path / f"{name}.json"
    path.write_text(json.dumps(spec))
    return path


def test_every_place_that_names_the_data_names_the_snapshot(lake: Lake, tmp_path: Path, call: Call) -> None:
    old, new = lake.versions()
    said = f"{lake.format} table, {'version' if lake.format == 'delta' else 'snapshot'} {new}"
    spec, run = job(lake, tmp_path), tmp_path / "runs" / "job"
    code, _, err = call("validate", spec, "--data")
    assert code == 0
    assert said in err
    code, out, _ = call("validate", spec, "--data", "--json")
    assert json.loads(out)["data"]["job"]["tables"] == [
        {"format": lake.format, "path": lake.path, "version": new, "role": "train"}
    ]
    assert said in call("inspect", lake.path)[1]
    code, out, _ = call("train", spec)
    assert code == 0
    assert said in out.replace("\n           ", " ")
    data = json.loads((run / "result.json").read_text())["data"]
    assert (data["format"], data["version"]) == (lake.format, new)
    assert said in (run / "report.html").read_text()
    assert said in call("show", run)[1].replace("\n", " ")
    shown = json.loads(call("show", run, "--json")[1])["data"]
    assert (shown["format"], shown["version"], shown["digest"]) == (lake.format, new, data["digest"])
    code, out, _ = call("train", job(lake, tmp_path, "old", version=old), "--json")
    before = json.loads(out)["data"]
    assert before["version"] == old
    assert before["digest"] != data["digest"]


def test_a_table_that_only_validates_is_named_as_such(tmp_path: Path, call: Call) -> None:
    lake = make_delta(tmp_path / "lake")
    lake.append(random_rows(30, 3))
    random_files = tmp_path / "train.parquet"
    pq.write_table(random_rows(50, 4), random_files)
    spec = job(lake, tmp_path, validation={"method": "path", "path": lake.path}, path=str(random_files))
    code, out, _ = call("train", spec, "--json")
    assert code == 0
    data = json.loads(out)["data"]
    assert (data["format"], data["version"]) == ("parquet", None)
    assert [(table["role"], table["version"]) for table in data["tables"]] == [("validation", 0)]


def test_the_columns_of_a_table_come_in_its_order_whatever_its_files_have(tmp_path: Path, call: Call) -> None:
    rows = random_rows(20, 5)
    write_deltalake(tmp_path / "t", rows.select(["y", "b", "part"]), partition_by=["part"])
    more = random_rows(20, 6).select(["part", "y", "a", "b"])
    write_deltalake(tmp_path / "t", more, mode="append", schema_mode="merge")
    order = [field.name for field in DeltaTable(tmp_path / "t").schema().fields]
    code, out, _ = call("inspect", tmp_path / "t", "--json")
    assert code == 0
    assert [column["name"] for column in json.loads(out)["columns"]] == order
