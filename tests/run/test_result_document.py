"""result.json, of every way in which a run ends, against the JSON Schema that `schema --result` prints."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import linreg_dist as lr
from linreg_dist.cli.main import run as call
from linreg_dist.documents import Document, ResultDocument, SolverDocument, result_schema
from linreg_dist.run.ending.failure import error_record
from tests.parquet import linear_columns, write_parquet


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return closed(result_schema())


def closed(schema: Any) -> Any:
    """Return the schema with every object closed, so that a key it does not name is an error."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if "properties" in found and found.get("additionalProperties") is True:
        found["additionalProperties"] = False
    return found


def check(run: Path, schema: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((run / "result.json").read_text())
    jsonschema.validate(document, schema)
    for key in ("status", "name", "solver", "model", "rows", "metrics", "timing", "versions", "error"):
        assert key in document
    return document


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    write_parquet(tmp_path / "d" / "a.parquet", linear_columns())
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "d"), "target": "y"},
        "run": {"storage_path": str(tmp_path / "runs")},
    }


SECTIONS: dict[str, dict[str, Any]] = {
    "exact": {},
    "robust": {"model": {"covariance": "HC1"}},
    "without validation": {"data.validation.method": "none"},
    "folds": {"tune": {"folds": 3, "l2": [0.0, 0.1], "l1_ratio": [0.0, 0.5]}},
    "lbfgs": {"model": {"loss": "huber"}},
    "sgd": {"solver": {"name": "sgd", "epochs": 2}},
    "adam without a page": {"solver": {"name": "adam", "epochs": 1}, "outputs": {"report": False}},
}


@pytest.mark.parametrize("what", SECTIONS)
def test_a_run_that_succeeds_fits_the_schema(what: str, spec: Any, schema: Any) -> None:
    sections = {key: value for key, value in SECTIONS[what].items() if "." not in key}
    overrides = {key: value for key, value in SECTIONS[what].items() if "." in key}
    run = lr.train({**spec, **sections}, overrides)
    assert isinstance(run.path, Path)
    document = check(run.path, schema)
    assert document["status"] == "succeeded"
    assert document["data"]["format"] == "parquet"
    assert document["data"]["files"] == 1
    assert document["data"]["row_groups"] >= 1
    assert {"name", "reason", "stopped"} <= document["solver"].keys()
    assert run.result == document
    assert run.document == ResultDocument.from_json(document)


def test_several_targets_fit_the_schema(tmp_path: Path, spec: Any, schema: Any) -> None:
    columns = linear_columns()
    write_parquet(tmp_path / "d" / "a.parquet", {**columns, "z": columns["y"] * 2})
    run = lr.train({**spec, "data": {**spec["data"], "target": ["y", "z"]}})
    assert isinstance(run.path, Path)
    assert check(run.path, schema)["metrics"]["train"]["per_target"].keys() == {"y", "z"}


def test_a_run_that_fails_fits_the_schema(tmp_path: Path, spec: Any, schema: Any) -> None:
    with pytest.raises(lr.DataError):
        lr.train({**spec, "data": {**spec["data"], "target": "nothing"}})
    document = check(tmp_path / "runs" / "job", schema)
    assert (document["status"], document["error"]["exit_code"]) == ("failed", 3)


def test_a_run_that_goes_on_and_one_that_is_updated_fit_the_schema(
    tmp_path: Path, spec: Any, schema: Any
) -> None:
    spec = {**spec, "solver": {"name": "sgd", "epochs": 3}}
    first = lr.train(spec)
    assert isinstance(first.path, Path)
    (first.path / "result.json").unlink()
    shutil.rmtree(first.path / "model")
    again = lr.train(spec)
    assert not again.already_finished
    check(first.path, schema)
    exact = {**spec, "name": "exact", "solver": {"name": "exact"}}
    run = lr.train(exact)
    assert isinstance(run.path, Path)
    write_parquet(tmp_path / "d" / "b.parquet", linear_columns(seed=1))
    lr.train(exact, update=run.path)
    document = check(run.path, schema)
    assert document["update"]["files"] == 1
    assert document["update"]["from"] == str(run.path)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), ValueError("odd"), lr.InterruptedRunError("stopped"), lr.ClusterError("x")]
)
def test_the_record_of_an_error_says_its_exit_code(error: BaseException) -> None:
    record = error_record(error, exit_code=7)
    assert record.exit_code == (error.exit_code if isinstance(error, lr.LinregDistError) else 7)
    assert (record.type, record.message) == (type(error).__name__, str(error))


def test_what_a_solver_of_ones_own_says_is_kept() -> None:
    solver = SolverDocument.from_json({"name": "mine", "sparsity": 0.5})
    assert solver.to_json() == {"name": "mine", "sparsity": 0.5}


def test_only_what_was_set_is_written() -> None:
    assert ResultDocument(status="failed", model=None).to_json() == {"status": "failed", "model": None}


def test_a_field_of_the_wrong_type_is_named() -> None:
    with pytest.raises(ValueError, match=r"rows\.train"):
        ResultDocument.from_json({"status": "succeeded", "rows": {"train": "many", "validation": 0}})


def test_the_schema_is_printed_and_is_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["schema", "--result"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == result_schema()
    jsonschema.Draft202012Validator.check_schema(printed)
    assert set(printed["required"]) >= {"status", "error"}
    documented = [name for name, body in printed["$defs"].items() if not body.get("description")]
    assert documented == []


def test_every_document_describes_itself() -> None:
    kinds = list(Document.__subclasses__())
    for kind in kinds:
        kinds.extend(kind.__subclasses__())
        assert kind.__doc__
