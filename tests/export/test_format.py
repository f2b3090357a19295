"""A format is one class that nobody else names, and what it needs is asked for before a run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import linreg_dist as lr
from linreg_dist.cli.main import run as call
from linreg_dist.cli.models.export import export as command  # loaded before there is a toy
from linreg_dist.export import FORMATS, Format, is_export
from linreg_dist.export.terms import terms
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.run.ending.exports import make_exports
from linreg_dist.verbs.export import export
from linreg_dist.verbs.validate import check_data
from tests.parquet import linear_columns, write_parquet


class Toy(Format):
    """A folder with a file for each column."""

    name = "toy"
    place = "toy"
    is_folder = True
    inside = re.compile(r"columns/\w+\.txt|README")

    def files(self, model: LinearModel, dialect: str | None = None) -> Mapping[str, bytes]:
        listed = {f"columns/{term.name}.txt": b"a column" for term in terms(model)}
        return {"README": b"a toy", **listed}


@pytest.fixture(autouse=True)
def _added() -> Iterator[None]:
    FORMATS.add(Toy())
    yield
    FORMATS.remove("toy")


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    write_parquet(tmp_path / "data" / "a.parquet", linear_columns(60, 2))
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y"},
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False, "export": ["toy"]},
    }


def test_formats_are_found_by_their_modules_and_named_in_the_schema() -> None:
    schema = json.loads(CliRunner().invoke(lr_cli(), ["schema"], catch_exceptions=False).stdout)
    (names, _) = schema["$defs"]["OutputsSpec"]["properties"]["export"]["items"]["anyOf"]
    assert names["enum"] == list(FORMATS)
    assert {"onnx", "sql", "toy"} <= set(FORMATS)


def lr_cli() -> Any:
    from linreg_dist.cli.main import cli

    return cli


def test_a_run_writes_it_says_so_and_takes_it_away_again(spec: dict[str, Any], tmp_path: Path) -> None:
    run = lr.train(spec)
    there = {str(path.relative_to(run.path)) for path in (run.path / "export").rglob("*.txt")}
    assert there == {"export/toy/columns/x0.txt", "export/toy/columns/x1.txt"}
    assert run.result["exports"] == {"toy": str(run.path / "export" / "toy")}
    lr.train({**spec, "outputs": {"report": False}}, fresh=True)  # which deletes only what a run writes
    assert not (run.path / "export").exists()


def test_what_others_put_beside_it_is_not_deleted(spec: dict[str, Any]) -> None:
    run = lr.train(spec)
    (run.path / "export" / "toy" / "mine.txt").write_text("mine")
    with pytest.raises(lr.SpecError, match="mine"):
        lr.train(spec, fresh=True)
    assert is_export("toy/README")
    assert not is_export("toy/mine.txt")
    assert not is_export("toy")
    assert not is_export("model.onnx/more")


def test_a_format_that_fails_costs_itself_alone(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Mapping[str, bytes]:
        raise RuntimeError("no luck")

    monkeypatch.setattr(Toy, "files", fail)
    run = lr.train({**spec, "outputs": {"report": False, "export": ["toy", "sql"]}})
    assert run.result["export_reasons"] == {"toy": "RuntimeError: no luck"}
    assert list(run.result["exports"]) == ["sql"]
    assert (run.path / "export" / "model.sql").read_text().endswith('AS "prediction"\n')


def test_an_update_in_place_leaves_no_export_of_the_earlier_model(
    spec: dict[str, Any], tmp_path: Path
) -> None:
    spec["outputs"]["export"] = ["toy", "sql"]
    run = lr.train(spec)
    before = (run.path / "export" / "model.sql").read_text()
    write_parquet(tmp_path / "data" / "b.parquet", linear_columns(60, 2, seed=1))
    lr.train({**spec, "outputs": {"report": False, "export": ["sql"]}}, update=run.path)
    assert (run.path / "export" / "model.sql").read_text() != before
    assert not (run.path / "export" / "toy" / "README").exists()


def test_a_missing_extra_is_named_before_anything_is_read(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = lr.train({**spec, "name": "before", "outputs": {"report": False}})
    monkeypatch.setattr(Toy, "needs", ("json", "no_such_module"))
    spec["data"]["path"] = str(tmp_path / "nowhere")
    message = r"outputs\.export toy needs no_such_module.*pip install 'linreg-dist\[toy\]'"
    with pytest.raises(lr.SpecError, match=message):
        lr.train(spec)
    with pytest.raises(lr.SpecError, match=message):
        check_data(lr.JobSpec.model_validate(spec))
    assert not (tmp_path / "runs" / "job").exists()
    assert call(["export", str(run.path), "--to", "toy", "-o", str(tmp_path / "out")]) == 2
    assert "--to toy needs no_such_module" in capsys.readouterr().err


def test_two_formats_cannot_share_a_name_or_a_place() -> None:
    class Another(Toy):
        name = "another"

    with pytest.raises(ValueError, match="toy has the name or the place of another"):
        FORMATS.add(Another())


class TestTheVerb:
    """`export` writes one form to a place that is free."""

    @pytest.fixture
    def run(self, spec: dict[str, Any]) -> lr.Run:
        return lr.train({**spec, "outputs": {"report": False}})

    def test_it_writes_a_file_or_a_folder(self, run: lr.Run, tmp_path: Path) -> None:
        assert call(["export", str(run.path), "--to", "sql", "-o", str(tmp_path / "new" / "m.sql")]) == 0
        assert export(run.path, "toy", tmp_path / "toy").files == 3
        assert (tmp_path / "toy" / "columns" / "x0.txt").read_text() == "a column"
        assert {path.name for path in tmp_path.iterdir()} == {"data", "runs", "new", "toy"}

    def test_json_is_one_document(
        self, run: lr.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = str(tmp_path / "m.sql")
        assert call(["export", str(run.path), "--to", "sql", "--dialect", "spark", "-o", out, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"format": "sql", "output": out, "files": 1}
        assert "`x0`" in (tmp_path / "m.sql").read_text()

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (["--to", "sql", "-o", "{tmp}/data"], "exists already"),
            (["--to", "sql", "-o", "{run}/m.sql"], "lies in the folder of the run"),
            (["--to", "sql", "-o", "{tmp}/data/a.parquet/m.sql"], "cannot be written"),
            (["--to", "toy", "-o", "{tmp}/new", "--dialect", "spark"], "no meaning for toy"),
            (["--to", "sql", "-o", "{tmp}/new", "--dialect", "klingon"], "expected one of"),
            (["--to", "pmml", "-o", "{tmp}/new"], "'pmml' is not one of"),
            (["--to", "sql"], "Missing option '-o'"),
        ],
    )
    def test_what_cannot_be_is_exit_2(
        self,
        run: lr.Run,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        said: str,
    ) -> None:
        given = [each.format(tmp=tmp_path, run=run.path) for each in arguments]
        assert call(["export", str(run.path), *given]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert "Traceback" not in error
        assert not (tmp_path / "new").exists()

    def test_its_help_names_a_format_that_was_added_after_it_was_loaded(self) -> None:
        assert "|toy]" in CliRunner().invoke(command, ["--help"], catch_exceptions=False).stdout

    def test_python_is_told_of_an_unknown_format_too(self, run: lr.Run, tmp_path: Path) -> None:
        with pytest.raises(lr.SpecError, match="--to pmml is no format; expected one of"):
            export(run.model, "pmml", tmp_path / "x")


def test_a_kind_of_column_without_a_portable_form_is_refused_by_name(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from linreg_dist.data.design.kind import ColumnKind
    from linreg_dist.data.design.numeric import NumericColumn

    run = lr.train({**spec, "outputs": {"report": False}})
    monkeypatch.setattr(NumericColumn, "portable", ColumnKind.portable)
    checked = lr.JobSpec.model_validate({**spec, "outputs": {"export": ["sql", "onnx"]}})
    reasons = make_exports(checked, run.model).reasons
    assert set(reasons) == {"sql", "onnx"}
    assert "column 'x0' is of the kind numeric, which only linreg_dist computes" in reasons["sql"]
