"""When a page is written, when not, and what a fault in it costs."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import linreg_dist as lr
from linreg_dist.page import html
from linreg_dist.run.ending import page as page_module
from linreg_dist.run.finished_run import Run
from linreg_dist.run.folder import RunFolder
from tests.page.document import Document
from tests.parquet import linear_columns, write_parquet

Train = Callable[..., Run]
HEAVY = ("jinja2",)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_parquet(tmp_path / "d" / "a.parquet", linear_columns())


def test_two_renderings_of_one_result_have_the_same_bytes(path: Path, train_here: Train) -> None:
    from linreg_dist.model.describe import describe
    from linreg_dist.page import Source, build_page, epoch_lines, render_page

    run = train_here(path, solver={"name": "adam", "epochs": 5})
    source = Source(
        result=run.document.model_copy(update={"report": None}),
        description=describe(run.model),
        model=run.model,
        epochs=epoch_lines((run.path / "metrics.jsonl").read_text()),
        folder=str(run.path),
        spec_yaml=(run.path / "job.yaml").read_text(),
    )
    once = render_page(build_page(source))
    assert render_page(build_page(source)) == once


def test_the_page_comes_after_the_model_and_before_the_result(
    path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[str, set[str]] = {}
    render, finish = html.render_page, RunFolder.finish

    def files(folder: Path) -> set[str]:
        return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}

    def note_render(page: Any) -> str:
        found["render"] = files(path.parents[1] / "runs" / "job")
        return render(page)

    def note_finish(self: RunFolder, result: dict[str, Any]) -> None:
        assert isinstance(self.path, Path)
        found["finish"] = files(self.path)
        finish(self, result)

    monkeypatch.setattr("linreg_dist.page.render_page", note_render)
    monkeypatch.setattr(RunFolder, "finish", note_finish)
    train_here(path)
    assert {"model/model.safetensors", "model/config.json"} <= found["render"]
    assert "report.html" in found["finish"] - found["render"]
    assert "result.json" not in found["finish"]


def test_none_is_written_where_none_is_asked_for(path: Path, train_here: Train) -> None:
    run = train_here(path, outputs={"report": False})
    assert not (run.path / "report.html").exists()
    assert run.result["report"] is None
    assert run.result["report_reason"] == "outputs.report is false"


@pytest.mark.parametrize(("report", "loaded"), [(False, []), (True, list(HEAVY))])
def test_what_makes_a_page_is_loaded_only_for_one(path: Path, report: bool, loaded: list[str]) -> None:
    spec = {
        "name": "job",
        "data": {"path": str(path), "target": "y"},
        "solver": {"name": "adam", "epochs": 2},
        "outputs": {"report": report},
        "run": {"storage_path": str(path.parents[1] / "runs")},
    }
    program = (
        "import json, sys, linreg_dist as lr; lr.train(json.loads(sys.argv[1]));"
        f"print([name for name in {HEAVY} if name in sys.modules], 'matplotlib' in sys.modules)"
    )
    command = [sys.executable, "-c", program, json.dumps(spec)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == f"{loaded} False"


def test_a_fault_in_the_page_costs_the_page_and_not_the_run(
    path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(page: Any) -> str:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr("linreg_dist.page.render_page", broken)
    with caplog.at_level(logging.ERROR):
        run = train_here(path)
    assert run.result["status"] == "succeeded"
    assert run.result["report"] is None
    assert run.result["report_reason"] == "ZeroDivisionError: of ours"
    assert json.loads((run.path / "result.json").read_text()) == run.result
    assert not (run.path / "report.html").exists()
    assert len(run.model.coef_) == 3
    (record,) = caplog.records
    assert "report.html could not be made; the run goes on without it" in record.getMessage()
    assert record.exc_info


def test_metrics_that_cannot_be_read_cost_the_curve_alone(
    path: Path, train_here: Train, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = page_module.read_file

    def refuse(path: Path, *arguments: Any, **options: Any) -> bytes:
        if path.name == "metrics.jsonl":
            raise PermissionError("not yours")
        return real(path, *arguments, **options)

    monkeypatch.setattr(page_module, "read_file", refuse)
    run = train_here(path, solver={"name": "adam", "epochs": 3})
    monkeypatch.undo()
    page = Document.of(run.path)
    labels = [
        attributes["aria-label"] or "" for _, attributes in page.tags if attributes.get("role") == "img"
    ]
    assert labels
    assert not any(label.startswith("Loss over") for label in labels)
    assert "the report has no curve of the loss" in caplog.text


def test_a_failed_run_has_none(path: Path, train_here: Train, tmp_path: Path) -> None:
    with pytest.raises(lr.RunFailedError):
        train_here(path, solver={"name": "sgd", "learning_rate": 1e30})
    assert not (tmp_path / "runs" / "job" / "report.html").exists()
    assert json.loads((tmp_path / "runs" / "job" / "result.json").read_text())["report"] is None


def test_a_run_that_starts_over_has_a_new_one(path: Path, train_here: Train) -> None:
    first = train_here(path)
    assert "l2: 0.0\n" in Document.of(first.path).texts["pre"][0]
    again = train_here(path)
    assert again.already_finished
    assert again.result == first.result
    fresh = train_here(path, model={"l2": 0.5}, fresh=True)
    assert "l2: 0.5\n" in Document.of(fresh.path).texts["pre"][0]


def _update(path: Path, train: Callable[..., Run], **sections: Any) -> tuple[Run, Run]:
    """Return an exact run, and what it is after a file was added to its data."""
    spec = {
        "name": "job",
        "data": {"path": str(path.parent), "target": "y", "validation": {"method": "none"}},
        "run": {"storage_path": str(path.parents[1] / "runs")},
    }
    before = train(spec)
    write_parquet(path.parent / "b.parquet", linear_columns(100, seed=1))
    return before, train({**spec, **sections}, update=before.path)


def test_an_update_replaces_it_and_keeps_the_earlier_one(path: Path) -> None:
    before, after = _update(path, lr.train)
    page = Document.of(after.path)
    assert page.table("What became of every row").rows["training"][0] == "500"
    assert f"100 rows of 1 new files were added to the statistics of {after.path}" in page.sentences
    kept = Document((after.path / "history" / "0001" / "report.html").read_text())
    assert kept.table("What became of every row").rows["training"][0] == "400"
    assert before.result["report"] == after.result["report"]


def test_an_update_without_a_page_leaves_none_of_the_earlier_model(path: Path) -> None:
    _, after = _update(path, lr.train, outputs={"report": False})
    assert not (after.path / "report.html").exists()
    assert after.result["report"] is None


def test_time_counts_the_page(path: Path, train_here: Train) -> None:
    timing = train_here(path).result["timing"]
    assert 0 < timing["report_s"] < timing["total_s"]
