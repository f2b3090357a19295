"""`report`: a page drawn again from what a run keeps, and a page that compares runs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import linreg_dist as lr
from linreg_dist.cli.main import run as command
from linreg_dist.errors import RunFailedError, SpecError
from linreg_dist.verbs.report import report
from linreg_dist.verbs.train import Run
from linreg_dist.wording.numbers import format_number
from tests.page.document import Document
from tests.page.test_safety import NASTY, assert_self_contained
from tests.parquet import linear_columns, write_parquet

Train = Callable[..., Run]
HASH = {"method": "hash", "fraction": 0.4, "seed": 3}


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Two exact runs, with and without a feature, and an iterative one with Huber's loss."""
    path = write_parquet(tmp_path / "d" / "a.parquet", linear_columns(2000))
    specs = {
        "all": {"data": {"features": ["x0", "x1", "x2"]}},
        "fewer": {"data": {"features": ["x0", "x2"]}, "model": {"l2": 0.1}},
        "robust": {"data": {"features": ["x0", "x1", "x2"]}, "model": {"loss": "huber"}},
    }
    return [
        lr.train(
            {
                "name": name,
                "data": {"path": str(path), "target": "y", "validation": HASH, **spec.pop("data")},
                **spec,
                "run": {"storage_path": str(tmp_path / "runs")},
            }
        )
        for name, spec in specs.items()
    ]


def without_job(html: str) -> str:
    """Return a page without the job as it ran, whose layout may differ."""
    return html.partition('<pre role="region"')[0]


def test_a_page_is_drawn_again_without_the_data(runs: list[Run], tmp_path: Path) -> None:
    run = runs[0]
    shutil.rmtree(tmp_path / "d")
    written = report([run.path], tmp_path / "again" / "page.html")
    assert written.runs == [str(run.path)]
    before, after = (run.path / "report.html").read_text(), Path(written.report).read_text()
    assert "Residuals of y" in after
    again, old = Document(after), Document(before)
    assert again.headings == old.headings
    assert [table.caption for table in again.tables] == [table.caption for table in old.tables]
    assert again.texts["figcaption"] == old.texts["figcaption"]
    assert report([run.path / "model"], written.report).runs == written.runs, "its own page is written over"


def test_runs_are_compared_by_quality_settings_and_coefficients(runs: list[Run], tmp_path: Path) -> None:
    report([run.path for run in runs], tmp_path / "c.html")
    page = Document((tmp_path / "c.html").read_text())
    assert_self_contained(page)
    assert page.headings[0] == "3 runs compared"
    quality = page.table("Quality of each run")
    for run in runs:
        cells = dict(zip(quality.headings[1:], quality.rows[run.path.name], strict=True))
        for split, where in (("train", "training"), ("validation", "held out")):
            assert cells[f"RMSE, {where}"] == format_number(run.metrics[split]["rmse"])
            assert cells[f"R², {where}"] == format_number(run.metrics[split]["r2"])
    settings = page.table("Settings that differ").rows
    assert settings["model.l2"] == ["0.0", "0.1", "0.0"]
    assert settings["model.loss"] == ["squared", "squared", "huber"]
    assert settings["data.features"] == ["x0, x1, x2", "x0, x2", "x0, x1, x2"]
    assert not {"name", "run.storage_path", "data.target"} & settings.keys()
    coefficients = page.table("Coefficients for y").rows
    for name in ("x0", "x1", "x2"):
        for run, cell in zip(runs, coefficients[name], strict=True):
            names = run.model.encoding.names
            expected = float(run.model.coef_[names.index(name)]) if name in names else None
            assert cell == format_number(expected)
    best = min(runs, key=lambda run: run.metrics["validation"]["rmse"]).path.name
    assert f"{best} has the least error on the rows held out" in page.sentences
    assert "They minimise different losses" in page.sentences
    assert "different data" not in page.sentences
    assert len(page.table("Time of each run").rows) == 3
    assert len(page.table("Residuals of y").rows) == 3


def test_runs_on_other_data_and_of_one_name_are_told_apart(tmp_path: Path, train_here: Train) -> None:
    found = []
    for i in range(2):
        path = write_parquet(tmp_path / f"d{i}" / "a.parquet", linear_columns(300 + i))
        found.append(train_here(path, run={"storage_path": str(tmp_path / f"runs{i}")}))
    report([run.path for run in found], tmp_path / "c.html")
    page = Document((tmp_path / "c.html").read_text())
    assert "The runs were fitted to different data" in page.sentences
    assert list(page.table("Quality of each run").rows) == ["runs0/job", "runs1/job"]


def test_hostile_names_are_text_in_a_comparison_too(tmp_path: Path, train_here: Train) -> None:
    columns = linear_columns(400, len(NASTY))
    data = {name: columns[f"x{i}"] for i, name in enumerate(NASTY)} | {"<b>y</b>": columns["y"]}
    path = write_parquet(tmp_path / "d" / "a.parquet", data)
    found = [
        train_here(path, data={"target": "<b>y</b>"}, run={"storage_path": str(tmp_path / name)})
        for name in ("<i>one", "two'\"")
    ]
    report([run.path for run in found], tmp_path / "c.html")
    page = Document((tmp_path / "c.html").read_text())
    assert_self_contained(page)
    assert "<script" not in page.html
    assert "Coefficients for <b>y</b>" in page.headings
    assert NASTY[0] in page.table("Coefficients for <b>y</b>").rows


def test_what_says_where_a_cluster_is_is_left_out(tmp_path: Path, train_here: Train) -> None:
    path = write_parquet(tmp_path / "d" / "a.parquet", linear_columns())
    runs = [
        train_here(
            path,
            cluster={"env": {"OTHER": "hunter2"}},
            run={"storage_path": str(tmp_path / f"r{i}")},
            model={"l2": float(i)},
        )
        for i in range(2)
    ]
    for number in (1, 2):
        report([run.path for run in runs[:number]], tmp_path / "c.html")
        html = (tmp_path / "c.html").read_text()
        assert "hunter2" not in html
        assert "OTHER" not in html


def test_a_run_of_before_is_drawn_without_residuals(tmp_path: Path) -> None:
    kept = Path(__file__).parents[1] / "promises" / "runs_of_275e345" / "sgd"
    report([kept], tmp_path / "c.html")
    page = Document((tmp_path / "c.html").read_text())
    assert "How good it is" in page.headings
    assert not [heading for heading in page.headings if heading.startswith("Residuals")]


def test_what_is_no_finished_run_is_refused(runs: list[Run], tmp_path: Path) -> None:
    out = tmp_path / "c.html"
    with pytest.raises(SpecError, match="no model at"):
        report([tmp_path / "nowhere"], out)
    with pytest.raises(SpecError, match="was given twice"):
        report([runs[0].path, runs[0].path], out)
    with pytest.raises(SpecError, match="compares at most 6 runs, and 7 were given"):
        report([runs[0].path] * 7, out)
    result = json.loads((runs[1].path / "result.json").read_text())
    failed = result | {"status": "failed", "error": {"message": "no luck"}}
    (runs[1].path / "result.json").write_text(json.dumps(failed))
    shutil.rmtree(runs[1].path / "model")
    with pytest.raises(RunFailedError, match="no luck"):
        report([runs[1].path], out)
    (runs[2].path / "diagnostics.json").write_text('{"version": 1}')
    with pytest.raises(SpecError, match=r"diagnostics.json is damaged"):
        report([runs[2].path], out)
    assert not out.exists()


def test_nothing_but_a_page_is_written_over(runs: list[Run], tmp_path: Path) -> None:
    mine = tmp_path / "notes.html"
    mine.write_text("<title>my notes</title>")
    with pytest.raises(SpecError, match="is no page of this program"):
        report([runs[0].path], mine)
    assert mine.read_text() == "<title>my notes</title>"
    with pytest.raises(SpecError, match="lies in the folder of the run"):
        report([runs[0].path], runs[1].path / "other.html")
    with pytest.raises(SpecError, match="is a folder"):
        report([runs[0].path], tmp_path)


def test_the_command_says_what_it_wrote(
    runs: list[Run], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "c.html"
    folders = [str(run.path) for run in runs]
    assert command(["report", *folders, "-o", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"report": str(out), "runs": folders}
    assert command(["report", folders[0], "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert command(["report", *folders, "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"{out}: 3 runs compared\n"
    assert command(["report", "nowhere", "-o", str(out)]) == 2
    assert command(["report", folders[0]]) == 2
