"""The same command every night: it adds what is new, or starts over where that is all that can be done."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linreg_dist.errors import DataError, SpecError
from linreg_dist.run.finished_run import Run
from linreg_dist.verbs.train import train
from tests.solvers.problems import Problem, features_of, make_problem

Nightly = Callable[..., Run]


@pytest.fixture
def problem(tmp_path: Path) -> Problem:
    """A problem of three days, of which the third is not there yet; each has a folder of its own."""
    made = make_problem(tmp_path / "d")
    for number in range(3):
        folder = (tmp_path / "later" if number == 2 else made.path) / f"day={number}"
        folder.mkdir(parents=True)
        shutil.move(made.path / f"part-{number}.parquet", folder / "rows.parquet")
    return made


@pytest.fixture
def nightly(problem: Problem) -> Nightly:
    """Return a function that gives the same command; its arguments are those of `train`."""

    def run(name: str = "job", data: dict[str, Any] | None = None, l2: float = 0.0, **options: Any) -> Run:
        spec = {
            "name": name,
            "data": {
                "path": str(problem.path),
                "target": "y",
                "features": features_of(problem),
                **(data or {}),
            },
            "model": {"l2": l2},
            "run": {"storage_path": str(problem.path.parent / "runs")},
            "outputs": {"report": False},
        }
        return train(spec, **options)

    return run


def deliver(problem: Problem) -> None:
    shutil.copytree(problem.path.parent / "later" / "day=2", problem.path / "day=2")


def test_new_files_are_added_and_the_answer_is_that_of_all(problem: Problem, nightly: Nightly) -> None:
    assert nightly(if_changed="update").result.get("update") is None
    assert nightly(if_changed="update").already_finished
    deliver(problem)
    with pytest.raises(SpecError, match="same spec on other data"):
        nightly()
    run = nightly(if_changed="update")
    assert run.result["update"]["files"] == 1
    whole = nightly("whole")
    np.testing.assert_allclose(run.model.coef_, whole.model.coef_, rtol=1e-11)
    assert run.result["rows"] == whole.result["rows"]
    assert run.result["data"]["digest"] == whole.result["data"]["digest"]
    assert nightly(if_changed="update").already_finished


@pytest.mark.parametrize("change", ["rewritten", "gone", "penalty", "iterative", "fresh"])
def test_what_cannot_be_added_starts_over_and_says_why(
    problem: Problem, nightly: Nightly, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    nightly(if_changed="update")
    options: dict[str, Any] = {"if_changed": "update"}
    if change == "rewritten":
        deliver(problem)
        shutil.move(problem.path / "day=2" / "rows.parquet", problem.path / "day=1" / "rows.parquet")
        shutil.rmtree(problem.path / "day=2")
    elif change == "gone":
        shutil.rmtree(problem.path / "day=1")
    elif change == "penalty":
        options["l2"] = 0.1
    elif change == "fresh":
        deliver(problem)
        options["if_changed"] = "fresh"
    if change == "iterative":
        spec_data = {"filter": [["x0", "<", 1e9]]}
        options["data"] = spec_data
    with pytest.raises((SpecError, DataError)):
        nightly(**{**options, "if_changed": "refuse"})
    with caplog.at_level(logging.WARNING):
        run = nightly(**options)
    assert "starts over" in caplog.text
    assert run.result.get("update") is None
    whole = nightly("whole", **{key: value for key, value in options.items() if key != "if_changed"})
    np.testing.assert_array_equal(run.model.coef_, whole.model.coef_)


def test_each_day_is_read_alone_and_all_together_are_the_whole(problem: Problem, nightly: Nightly) -> None:
    deliver(problem)
    (problem.path / "day=1" / "rows.parquet").rename(problem.path.parent / "good")
    (problem.path / "day=1" / "rows.parquet").write_bytes(b"no Parquet")
    first = nightly(add=["day=0"], if_changed="update")
    assert first.result["data"]["files"] == 1
    with pytest.raises(DataError, match="cannot be read as Parquet"):
        nightly(add=["day=1"], if_changed="update")
    third = nightly(add=["day=2/*.parquet"], if_changed="update")
    assert third.result["update"]["files"] == 1
    assert third.result["data"]["files"] == 2
    (problem.path.parent / "good").rename(problem.path / "day=1" / "rows.parquet")
    both = nightly(add=["day=1", "day=2"])
    assert both.result["update"]["files"] == 1, "day=2 is there already"
    assert nightly(add=["day=0"]).already_finished
    assert nightly(if_changed="update").already_finished, "nothing is left"
    whole = nightly("whole")
    np.testing.assert_allclose(both.model.coef_, whole.model.coef_, rtol=1e-11)
    assert both.result["rows"] == whole.result["rows"]


def test_a_day_that_was_delivered_again_is_refused_or_read_anew(problem: Problem, nightly: Nightly) -> None:
    nightly(add=["day=0"])
    nightly(add=["day=1"])
    deliver(problem)
    shutil.move(problem.path / "day=2" / "rows.parquet", problem.path / "day=1" / "rows.parquet")
    with pytest.raises(DataError, match="have changed"):
        nightly(add=["day=1"])
    run = nightly(add=["day=1"], if_changed="update")
    assert run.result.get("update") is None
    np.testing.assert_array_equal(run.model.coef_, nightly("whole", fresh=True).model.coef_)


@pytest.mark.parametrize("key", ["day=7", "day", "day=[78]", "../d"])
def test_a_day_that_is_not_there_is_named(nightly: Nightly, key: str) -> None:
    nightly(add=["day=0"])
    with pytest.raises(DataError, match="no Parquet file at") as refused:
        nightly(add=[key, "day=1"], if_changed="update")
    assert key in str(refused.value)
    assert "day=1" not in str(refused.value).partition("below")[0]


def test_starting_over_with_a_part_forgets_the_rest(nightly: Nightly) -> None:
    nightly()
    run = nightly(add=["day=1"], fresh=True)
    assert run.result["data"]["files"] == 1


def test_an_attempt_at_another_part_does_not_stand_in_the_way(problem: Problem, nightly: Nightly) -> None:
    with pytest.raises(DataError):
        nightly(add=["day=0"], data={"filter": [["x0", ">", 1e9]]}, if_changed="update")
    assert nightly(add=["day=1"], if_changed="update").result["data"]["files"] == 1
