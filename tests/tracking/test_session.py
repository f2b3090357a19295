"""Trackers are told of a run from its begin to its end, and none can delay or fail it."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import linreg_dist as lr
from linreg_dist.cli.main import run as call
from linreg_dist.documents import EpochLine, ResultDocument
from linreg_dist.errors import StorageError
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.tracking import session
from linreg_dist.tracking.tracker import TrackedRun, Tracker
from linreg_dist.verbs.train import train
from linreg_dist.verbs.validate import check_data
from tests.parquet import linear_columns, write_parquet


class Notes(Tracker):
    """Writes down what it is told, and fails where it is asked to."""

    name = "notes"

    def __init__(self, fails_at: str = "", waits: threading.Event | None = None) -> None:
        self.told: list[Any] = []
        self.run: TrackedRun | None = None
        self._fails_at, self._waits = fails_at, waits

    def _take(self, what: str, told: Any) -> None:
        if self._waits is not None:
            self._waits.wait()
        if what == self._fails_at:
            raise ConnectionError(f"nobody at https://u:secret@host {what}")
        self.told.append(told)

    def start(self, run: TrackedRun) -> None:
        self.run = run
        self._take("start", "start")

    def epoch(self, line: EpochLine) -> None:
        self._take("epoch", line.epoch)

    def finish(self, result: ResultDocument, model: LinearModel | None) -> None:
        self._take("finish", (result.status, model is not None))


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    write_parquet(tmp_path / "data" / "a.parquet", linear_columns(60, 2))
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y"},
        "solver": {"name": "sgd", "epochs": 3, "early_stop": None},
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False},
    }


def test_one_of_ones_own_is_told_all_in_order(spec: dict[str, Any]) -> None:
    notes = Notes()
    run = train(spec, trackers=[notes])
    assert notes.told == ["start", 0, 1, 2, ("succeeded", True)]
    assert notes.run is not None
    assert notes.run.data_digest == run.result["data"]["digest"]
    assert (notes.run.features, notes.run.rows) == (("x0", "x1"), 60)
    notes.told.clear()
    assert train(spec, trackers=[notes]).already_finished
    assert notes.told == []


def test_a_run_that_fails_says_so(spec: dict[str, Any], tmp_path: Path) -> None:
    import pyarrow as pa

    columns: dict[str, Any] = dict(linear_columns(60, 2))
    write_parquet(tmp_path / "data" / "b.parquet", {**columns, "x0": pa.array([None] * 60, pa.float64())})
    notes = Notes()
    with pytest.raises(lr.DataError):
        train(spec, trackers=[notes])
    assert notes.told == ["start", ("failed", False)]


@pytest.mark.parametrize("fails_at", ["start", "epoch", "finish"])
def test_one_that_is_down_is_a_warning_and_told_no_more(
    spec: dict[str, Any], fails_at: str, caplog: pytest.LogCaptureFixture
) -> None:
    down, other = Notes(fails_at), Notes()
    with caplog.at_level(logging.WARNING, logger="linreg_dist"):
        assert train(spec, trackers=[down, other]).document.status == "succeeded"
    assert len(other.told) == 5
    assert len(down.told) == {"start": 0, "epoch": 1, "finish": 4}[fails_at]
    (said,) = [record.getMessage() for record in caplog.records if "tracking" in record.getMessage()]
    assert "notes: ConnectionError: nobody at" in said
    assert "secret" not in said


def test_one_that_is_required_is_asked_before_training(spec: dict[str, Any], tmp_path: Path) -> None:
    spec["tracking"] = {"required": True}
    with pytest.raises(StorageError, match="notes: ConnectionError") as raised:
        train(spec, trackers=[Notes("start")])
    assert raised.value.exit_code == 4
    assert not (tmp_path / "runs" / "job" / "metrics.jsonl").exists()
    notes = Notes("epoch")  # later on it is a warning
    assert train(spec, trackers=[notes]).document.status == "succeeded"


def test_one_that_never_answers_holds_nothing_up(
    spec: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answer = threading.Event()
    monkeypatch.setattr(session, "_FINISH_WITHIN_S", 0.2)
    monkeypatch.setattr(session, "_START_WITHIN_S", 0.2)
    with caplog.at_level(logging.WARNING, logger="linreg_dist"):
        run = train(spec, trackers=[Notes(waits=answer)])
    assert (run.path / "result.json").exists()
    assert "notes had not been told of all within" in caplog.text
    with pytest.raises(StorageError, match="no answer within"):
        train({**spec, "name": "other", "tracking": {"required": True}}, trackers=[Notes(waits=answer)])
    answer.set()
    deadline = time.monotonic() + 30
    while any(thread.name == "trackers" for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)


def test_nothing_is_loaded_that_is_not_asked_for(spec: dict[str, Any]) -> None:
    import subprocess
    import sys

    script = (
        f"import sys, linreg_dist as lr; lr.train({spec!r});"
        "print([name for name in ('mlflow', 'tensorboardX', 'openlineage') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_extra_is_named_before_anything_is_read(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from linreg_dist.tracking.mlflow import Mlflow

    monkeypatch.setattr(Mlflow, "needs", ("no_such_module",))
    spec["tracking"] = {"mlflow": {"uri": "sqlite:///x.db"}}
    spec["data"]["path"] = str(tmp_path / "nowhere")
    message = r"tracking\.mlflow needs no_such_module.*pip install 'linreg-dist\[mlflow\]'"
    for verb in (lambda: train(spec), lambda: check_data(lr.JobSpec.model_validate(spec))):
        with pytest.raises(lr.SpecError, match=message):
            verb()
    assert not (tmp_path / "runs").exists()


def test_a_password_in_its_address_is_refused(
    spec: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    spec["tracking"] = {"mlflow": {"uri": "https://user:pa55word@host"}}
    (tmp_path / "job.json").write_text(json.dumps(spec))
    assert call(["train", str(tmp_path / "job.json")]) == 2
    error = capsys.readouterr().err
    assert "credentials" in error
    assert "pa55word" not in error
