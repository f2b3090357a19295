"""Delta and Iceberg tables from a spec to a result: which snapshot, which rows, and what is said of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

import linreg_dist.verbs.train
from linreg_dist import LinearModel
from linreg_dist.cli import main as cli_main
from tests.delta_log import add, field, metadata, write_log
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


def fit_in_memory(rows: pa.Table, names: list[str]) -> np.ndarray[Any, Any]:
    """Return intercept and coefficients of least squares in float64, of rows without nulls."""
    rows = rows.select([*names, "y"]).drop_null()
    x = np.column_stack([np.ones(rows.num_rows), *(rows[name].to_numpy() for name in names)])
    return np.linalg.lstsq(x, rows["y"].to_numpy(), rcond=None)[0]


def test_every_snapshot_gives_the_fit_of_its_rows(lake: Lake, tmp_path: Path, call: Call) -> None:
    lake.delete("b > 4.0")
    rng = np.random.default_rng(8)
    lake.append(random_rows(50, 3).append_column("new", pa.array(rng.normal(size=50))))
    lake.delete("part = 2 and a < -0.5")
    lake.overwrite(random_rows(40, 7).append_column("new", pa.array(rng.normal(size=40))))
    fitted = 0
    for number, version in enumerate(lake.versions()):
        rows = lake.rows(version)
        if not rows.num_rows:
            continue
        names = ["a", "b", "new"] if "new" in rows.schema.names else ["a", "b"]
        spec = job(lake, tmp_path, f"job{number}", version=version, features=names, missing="drop")
        code, _, err = call("train", spec, "--json", "--set", "data.validation.method=none")
        assert code == 0, err
        model = LinearModel.load(tmp_path / "runs" / f"job{number}" / "model")
        expected = fit_in_memory(rows, names)
        np.testing.assert_allclose(model.coef_, expected[1:], rtol=1e-10)
        np.testing.assert_allclose(model.intercept_, expected[0], rtol=1e-10)
        fitted += 1
    assert fitted >= 5


def test_models_score_the_live_rows_of_a_table(lake: Lake, tmp_path: Path, call: Call) -> None:
    assert call("train", job(lake, tmp_path))[0] == 0
    model = tmp_path / "runs" / "job"
    lake.delete("b > 3.0")
    more = random_rows(25, 9).append_column("new", pa.array([1.0] * 25))
    lake.append(more)
    rows = lake.rows()
    code, out, err = call("evaluate", model, "--data", lake.path, "--json")
    assert code == 0, err
    found, fitted = json.loads(out), LinearModel.load(model / "model")
    assert found["rows"] == rows.num_rows
    errors = rows["y"].to_numpy() - fitted.predict(rows)
    assert found["metrics"]["mse"] == pytest.approx(float(np.mean(errors**2)), rel=1e-10)
    code, _, err = call(
        "predict", model, "--data", lake.path, "--output", tmp_path / "out", "--keep", "a,new"
    )
    assert code == 0, err
    scored = ds.dataset(tmp_path / "out", format="parquet").to_table()
    expected = rows.select(["a", "new"]).append_column("prediction", pa.array(fitted.predict(rows)))
    key = [("a", "ascending")]
    assert scored.sort_by(key)["new"].to_pylist() == expected.sort_by(key)["new"].to_pylist()
    np.testing.assert_allclose(scored.sort_by(key)["prediction"], expected.sort_by(key)["prediction"])


def test_an_emptied_table_is_scored_into_nothing(tmp_path: Path, call: Call) -> None:
    lake = make_delta(tmp_path / "lake")
    lake.append(random_rows(30, 1))
    assert call("train", job(lake, tmp_path))[0] == 0
    DeltaTable(lake.path).delete()
    model = tmp_path / "runs" / "job"
    code, out, err = call("predict", model, "--data", lake.path, "--output", tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(out)["rows"] == 0
    assert call("train", job(lake, tmp_path, "again"))[0] == 3


def test_files_that_lie_elsewhere_are_scored_below_the_output(tmp_path: Path, call: Call) -> None:
    """A log may name files by absolute paths, as that of a clone does; nothing is written over them."""
    elsewhere = tmp_path / "elsewhere.parquet"
    folder = tmp_path / "lake"
    folder.mkdir()
    rows = random_rows(30, 1).drop_columns(["part"])
    action = add(folder, "in.parquet", rows)
    shutil.move(folder / "in.parquet", elsewhere)
    action["add"]["path"] = elsewhere.as_uri()
    other = add(folder, "in.parquet", rows)
    protocol = {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}
    write_log(folder, 0, [protocol, metadata([field(name) for name in rows.schema.names]), action, other])
    lake, before = make_delta(folder), elsewhere.read_bytes()
    assert call("train", job(lake, tmp_path))[0] == 0
    model = tmp_path / "runs" / "job"
    code, out, err = call("predict", model, "--data", folder, "--output", tmp_path / "out", "--json")
    assert code == 0, err
    assert json.loads(out)["rows"] == 60
    assert elsewhere.read_bytes() == before
    assert len(list((tmp_path / "out").rglob("*.parquet"))) == 2


@pytest.mark.parametrize(("extra", "module"), [("delta", "deltalake"), ("iceberg", "pyiceberg")])
def test_a_library_that_is_not_installed_is_named_with_its_extra(
    extra: str, module: str, tmp_path: Path
) -> None:
    lake: Lake = {"delta": make_delta, "iceberg": make_iceberg}[extra](tmp_path / "lake")
    lake.append(random_rows(10, 1))
    hidden = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from linreg_dist.cli.main import run\nsys.exit(run(sys.argv[1:]))"
    )
    for command in (["validate", str(job(lake, tmp_path)), "--data"], ["inspect", lake.path]):
        done = subprocess.run([sys.executable, "-c", hidden, *command], capture_output=True, text=True)
        assert done.returncode == 2, done.stderr
        assert f"pip install 'linreg-dist[{extra}]'" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_commit_while_a_job_runs_changes_nothing_for_it(
    lake: Lake, tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, version = lake.rows(), lake.versions()[-1]
    read_data = linreg_dist.verbs.train.read_data

    def then_commit(spec: Any) -> Any:
        found = read_data(spec)
        lake.delete("b > 0.0")
        lake.append(random_rows(30, 5))
        return found

    monkeypatch.setattr(linreg_dist.verbs.train, "read_data", then_commit)
    code, out, err = call("train", job(lake, tmp_path), "--json", "--set", "data.validation.method=none")
    assert code == 0, err
    assert json.loads(out)["data"]["version"] == version
    assert json.loads(out)["rows"]["train"] == rows.num_rows
    model = LinearModel.load(tmp_path / "runs" / "job" / "model")
    np.testing.assert_allclose(model.coef_, fit_in_memory(rows, ["a", "b"])[1:], rtol=1e-10)
