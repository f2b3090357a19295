"""A run's folder that was moved: messages, and the command to go on with, name where it lies now."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from linreg_dist.errors import InterruptedRunError, RunFailedError
from linreg_dist.run.folder import RunFolder
from linreg_dist.run.state import load_model
from linreg_dist.verbs.train import train
from tests.fuzz.verbs import verb
from tests.parquet import linear_columns, write_parquet


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    return {
        "name": "job",
        "data": {"path": str(write_parquet(tmp_path / "a.parquet", linear_columns(300, 2))), "target": "y"},
        "run": {"storage_path": str(tmp_path / "before")},
        "outputs": {"export": ["sql"]},
    }


def moved(tmp_path: Path) -> Path:
    (tmp_path / "before").rename(tmp_path / "today")
    return tmp_path / "today" / "job"


def test_a_finished_run_is_reported_with_the_paths_of_today(spec: dict[str, Any], tmp_path: Path) -> None:
    train(spec)
    place = moved(tmp_path)
    again = train(spec, {"run.storage_path": str(place.parent)})
    assert again.already_finished
    assert again.result["model"] == str(place / "model")
    assert again.result["report"] == str(place / "report.html")
    assert [Path(path) for path in again.result["exports"].values()] == [place / "export" / "model.sql"]
    assert all(Path(path).exists() for path in [again.result["model"], *again.result["exports"].values()])
    assert str(tmp_path / "before") not in str(again.summary())


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "{}"],
        ["show", "{}", "--json"],
        ["evaluate", "{}", "--data", "a.parquet"],
        ["predict", "{}", "--data", "a.parquet", "--output", "out"],
        ["export", "{}", "--to", "sql", "-o", "model.sql"],
        ["report", "{}", "-o", "page.html"],
        ["stats", "solve", "{}", "--json"],
        ["train", "job.json", "--set", "run.storage_path=today", "--json"],
        ["train", "job.json", "--set", "run.storage_path=today"],
    ],
    ids=" ".join,
)
def test_no_verb_names_where_the_run_was(
    spec: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    train(spec | {"outputs": {"report": False}})
    (tmp_path / "job.json").write_text(json.dumps(spec | {"outputs": {"report": False}}))
    place = moved(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = verb(*(argument.format(place) for argument in arguments))
    assert done.code == 0, done
    assert str(tmp_path / "before") not in done.out + done.err
    assert not (tmp_path / "before").exists()


@contextmanager
def stopped(_: Any) -> Any:
    raise KeyboardInterrupt
    yield


def test_a_run_that_was_stopped_and_moved_goes_on_by_the_command_that_is_named(
    spec: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises((KeyboardInterrupt, InterruptedRunError)):
        train(spec, watch=stopped)
    place = moved(tmp_path)
    with pytest.raises(RunFailedError) as raised:
        load_model(place)
    told = str(raised.value)
    assert str(tmp_path / "before") not in told
    command = re.search(r"linreg-dist (train .*)", told)
    assert command is not None
    ran = subprocess.run(
        [sys.executable, "-m", "linreg_dist", *shlex.split(command[1]), "-q"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert RunFolder(place).has_succeeded
    assert not (tmp_path / "before").exists()


def test_a_run_in_its_place_goes_on_by_its_own_spec(spec: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises((KeyboardInterrupt, InterruptedRunError)):
        train(spec, watch=stopped)
    with pytest.raises(RunFailedError, match=r"linreg-dist train \S+/before/job/job\.yaml$"):
        load_model(tmp_path / "before" / "job")
