"""Runs that commit 275e345 made are shown, measured, solved and reported as it did it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from linreg_dist.cli.main import run as call
from linreg_dist.documents import EpochLine, ResultDocument
from linreg_dist.model.describe import describe
from linreg_dist.model.linear_model import LinearModel
from linreg_dist.page import Source, build_page, epoch_lines, render_page
from linreg_dist.run.folder import RunFolder
from linreg_dist.verbs.score import evaluate
from linreg_dist.verbs.stats import solve_statistics

RUNS = Path(__file__).parent / "runs_of_275e345"
FITTED = ["tuned", "two", "sgd", "huber", "part"]


@pytest.mark.parametrize("name", FITTED)
def test_show_says_what_it_said_then(name: str) -> None:
    expected = json.loads((RUNS / name / "shown.json").read_text())
    found = describe(LinearModel.load(RUNS / name), with_covariance=True).to_json()
    assert {key: found[key] for key in expected} == expected
    assert found["loss"] == ("huber" if name == "huber" else "squared"), "said since then"


def test_statistics_are_solved_as_they_were_then() -> None:
    expected = json.loads((RUNS / "part" / "solved.json").read_text())
    found = describe(solve_statistics(RUNS / "part")).to_json()
    for document in (expected, found):
        document.pop("versions")
    # Sums of BLAS may differ in their last bits between machines.
    for row, then in zip(found.pop("coefficients"), expected.pop("coefficients"), strict=True):
        assert row.pop("feature") == then.pop("feature")
        assert row == _near(then)
    for numbers in ("fit", "intercept_inference"):
        assert found.pop(numbers) == _near(expected.pop(numbers))
    assert found["metrics"]["train"] == _near(expected["metrics"]["train"])
    assert found["rows"] == expected["rows"]


@pytest.mark.parametrize("name", [*FITTED, "bad"])
def test_a_result_is_read_whole_and_written_as_it_was(name: str) -> None:
    folder = RunFolder(RUNS / name)
    result = folder.result()
    assert result is not None
    assert result.to_json() == json.loads(folder.result_json.read_text())
    assert _unknown(result) == []


@pytest.mark.parametrize("name", FITTED)
def test_a_model_is_saved_as_it_was_loaded(name: str, tmp_path: Path) -> None:
    LinearModel.load(RUNS / name).save(tmp_path)
    saved, then = (
        json.loads((path / "config.json").read_text()) for path in (tmp_path, RUNS / name / "model")
    )
    LinearModel.load(tmp_path)  # which checks the checksum, the one thing that is new
    assert len(saved.pop("checksum")) == 64
    assert saved == then


@pytest.mark.parametrize("name", FITTED)
def test_a_page_is_made_of_an_earlier_result(name: str) -> None:
    folder, model = RunFolder(RUNS / name), LinearModel.load(RUNS / name)
    result = folder.result()
    assert result is not None
    epochs = epoch_lines(folder.metrics_jsonl.read_text())
    assert epochs
    assert all(isinstance(line, EpochLine) and line.train_mse for line in epochs)
    page = build_page(Source(result, describe(model), model, epochs, str(folder.path), "name: x"))
    assert f"{result.name} – linear regression" in render_page(page)


def test_numbers_that_arrow_reads_as_dictionaries_are_predicted_as_numbers() -> None:
    model = LinearModel.load(RUNS / "part")
    table = pq.read_table(RUNS / "part-0.parquet")
    coded = pa.table({name: pc.dictionary_encode(table.column(name)) for name in table.column_names})
    np.testing.assert_array_equal(model.predict(coded), model.predict(table))


def test_a_model_measures_rows_as_it_did_then() -> None:
    then = json.loads((RUNS / "part" / "result.json").read_text())
    found = evaluate(RUNS / "part", str(RUNS / "part-0.parquet"))
    assert found.rows == 39
    assert found.metrics.mse == pytest.approx(then["metrics"]["train"]["mse"], rel=0.3)


def test_a_finished_run_is_shown_from_a_copy_by_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(RUNS / "tuned", tmp_path / "tuned")
    assert call(["show", str(tmp_path / "tuned")]) == 0
    assert "solved exactly" in capsys.readouterr().out


def _near(numbers: dict[str, Any]) -> dict[str, Any]:
    return {
        key: pytest.approx(value, rel=1e-9) if isinstance(value, float) else value
        for key, value in numbers.items()
    }


def _unknown(document: ResultDocument) -> list[str]:
    """Return the keys that no field stands for, at any depth."""
    found: list[str] = []

    def look(value: object, where: str) -> None:
        extra = getattr(value, "model_extra", None)
        if extra is not None:
            found.extend(f"{where}.{key}" for key in extra)
            for key in type(value).model_fields:  # type: ignore[attr-defined]  # it has model_extra
                look(getattr(value, key), f"{where}.{key}")
        elif isinstance(value, list | tuple):
            for item in value:
                look(item, where)
        elif isinstance(value, dict):
            for key, item in value.items():
                look(item, f"{where}.{key}")

    look(document, "")
    return found
