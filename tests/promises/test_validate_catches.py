"""`validate` catches what `train` refuses, and mistakes of the data come all at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import linreg_dist as lr
from linreg_dist.cli.main import run as call
from linreg_dist.jobspec import load_spec
from linreg_dist.verbs.validate import check_data
from tests.parquet import linear_columns, write_parquet


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    write_parquet(tmp_path / "d" / "a.parquet", linear_columns())
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "d"), "target": "y"},
        "run": {"storage_path": str(tmp_path / "runs")},
    }


def with_nulls(spec: dict[str, Any], *names: str) -> None:
    columns: dict[str, Any] = dict(linear_columns(seed=1))
    for name in names:
        columns[name] = pa.array([None, *columns[name][1:]])
    write_parquet(Path(spec["data"]["path"]) / "b.parquet", columns)


def both(spec: dict[str, Any]) -> tuple[str, str]:
    """Return what validate and train say of a spec that both refuse."""
    said = []
    for verb in (lambda: check_data(load_spec(spec)), lambda: lr.train(spec)):
        with pytest.raises(lr.LinregDistError) as caught:
            verb()
        said.append(str(caught.value))
    return said[0], said[1]


@pytest.mark.parametrize("name", ["x0", "y"])
def test_nulls_where_none_may_be_are_found_in_the_footers(spec: dict[str, Any], name: str) -> None:
    with_nulls(spec, name)
    validated, trained = both(spec)
    assert f"b.parquet: column {name!r} has 1 nulls" in validated
    assert name in trained


def test_nulls_of_several_columns_come_at_once(spec: dict[str, Any]) -> None:
    with_nulls(spec, "x0", "x1", "y")
    assert len(both(spec)[0].splitlines()) == 3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["x0", "y"])
def test_numbers_that_are_none_are_found_in_the_rows(spec: dict[str, Any], name: str, value: float) -> None:
    columns = linear_columns(seed=1)
    columns[name][[3, 5]] = value
    write_parquet(Path(spec["data"]["path"]) / "b.parquet", columns)
    validated, trained = both(spec)
    assert f"b.parquet: column {name!r} has 2 nulls, NaN or infinite values in all rows" in validated
    assert name in trained


def test_nulls_and_numbers_that_are_none_come_at_once(spec: dict[str, Any]) -> None:
    with_nulls(spec, "x0")
    columns = linear_columns(seed=2)
    columns["x1"][3] = np.nan
    write_parquet(Path(spec["data"]["path"]) / "c.parquet", columns)
    validated, _ = both(spec)
    assert [name in validated for name in ("x0", "x1", "x2")] == [True, True, False]
    assert len(validated.splitlines()) == 2


def test_nulls_that_the_filter_leaves_are_found_in_the_rows(spec: dict[str, Any]) -> None:
    with_nulls(spec, "x0")
    filtered = {**spec, "data": {**spec["data"], "filter": [["x1", ">", -1e9]]}}
    assert "column 'x0' has 1 nulls, NaN or infinite values" in both(filtered)[0]


@pytest.mark.parametrize("data", [{"missing": "drop"}, {"missing": "mean"}, {"features": ["x1"]}])
def test_nulls_that_do_no_harm_are_none(spec: dict[str, Any], data: dict[str, Any]) -> None:
    with_nulls(spec, "x0")
    check_data(load_spec({**spec, "data": {**spec["data"], **data}}))


def test_a_filter_may_take_the_nulls_out(spec: dict[str, Any]) -> None:
    with_nulls(spec, "x0")
    filtered = {**spec, "data": {**spec["data"], "filter": [["x0", "is_not", None]]}}
    check_data(load_spec(filtered))
    assert lr.train(filtered).document.status == "succeeded"


@pytest.mark.parametrize(
    "sections",
    [
        {"solver": {"name": "lbfgs"}, "model": {"l1": 0.1}},
        {"solver": {"name": "exact"}, "model": {"loss": "huber"}},
    ],
)
def test_what_train_refuses_without_the_data_validate_refuses_without_it(
    spec: dict[str, Any], sections: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    (tmp_path / "job.json").write_text(json.dumps({**spec, **sections}))
    assert call(["train", str(tmp_path / "job.json")]) == 2
    trained = capsys.readouterr().err
    assert call(["validate", str(tmp_path / "job.json")]) == 2
    assert capsys.readouterr().err == trained


def test_all_mistakes_of_the_data_come_at_once(spec: dict[str, Any], tmp_path: Path) -> None:
    columns: dict[str, Any] = dict(linear_columns())
    columns["day"] = pa.array(range(400), pa.timestamp("s"))
    write_parquet(tmp_path / "d" / "a.parquet", columns)
    data = {
        **spec["data"],
        "target": "day",
        "features": ["x0", "x9", "day2"],
        "weight": "no_weight",
        "filter": [["x0", "<", "much"], ["day", ">", "someday"]],
    }
    validated, trained = both({**spec, "data": data})
    assert validated == trained
    lines = validated.splitlines()
    for expected in (
        "no column 'x9' (feature)", "no column 'day2' (feature); did you mean 'day'?",
        "no column 'no_weight' (weight)", "the target 'day' has type timestamp[ms]; expected a number",
        "does not fit the column 'x0' of type double: expected a number", "does not fit the column 'day'",
    ):  # fmt: skip
        assert sum(expected in line for line in lines) == 1, expected
    assert len(lines) == 6


def test_a_mistake_that_many_files_share_is_told_once(spec: dict[str, Any], tmp_path: Path) -> None:
    for number in range(30):
        write_parquet(tmp_path / "d" / f"{number}.parquet", linear_columns(num_rows=5))
    assert len(both({**spec, "data": {**spec["data"], "features": ["x7"]}})[0].splitlines()) == 1


def test_the_first_of_very_many_mistakes_are_told(spec: dict[str, Any]) -> None:
    features = [f"z{number}" for number in range(50)]
    lines = both({**spec, "data": {**spec["data"], "features": features}})[0].splitlines()
    assert len(lines) == 21
    assert lines[-1] == "and 30 more"
