"""Statistics of parts of the data whose levels differ: together they are those of all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import linreg_dist as lr
from linreg_dist.data.design.categorical import CategoricalColumn
from linreg_dist.model.describe import describe
from linreg_dist.run.finished_run import Run
from linreg_dist.verbs.stats import (
    merge_statistics,
    open_statistics,
    solve_statistics,
    subtract_statistics,
)
from tests.parquet import write_parquet

Train = Callable[..., Run]
DAYS = {"monday": ["DL", "UA"], "tuesday": ["9E", "DL", "HA"], "wednesday": ["DL"]}


def rows(levels: list[str], seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    n = 120
    carrier, x = rng.choice(levels, n), rng.normal(size=n)
    effect = {"DL": 0.0, "UA": 1.0, "9E": -2.0, "HA": 3.0}
    y = x + [effect[c] for c in carrier] + rng.normal(size=n) * 0.3
    return {"carrier": carrier, "x": x, "y": y, "w": rng.uniform(0.5, 2, n)}


@pytest.fixture
def days(tmp_path: Path) -> Path:
    for seed, (day, levels) in enumerate(DAYS.items()):
        write_parquet(tmp_path / day / f"{day}.parquet", rows(levels, seed), row_group_size=40)
        write_parquet(tmp_path / "all" / f"{day}.parquet", rows(levels, seed), row_group_size=40)
    return tmp_path


SECTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "weighted": {"data": {"weight": "w"}},
    "folds": {"tune": {"folds": 3, "l2": [0.0, 0.1]}, "data": {"exclude": ["w"]}},
    "held out": {"data": {"validation": {"method": "hash"}, "exclude": ["w"]}},
    "unseen zero": {"data": {"unseen": "zero", "exclude": ["w"]}},
}


def of(train_here: Train, days: Path, name: str, what: str) -> Run:
    return train_here(days / name, name=f"{what}-{name}".replace(" ", "-"), **SECTIONS[what])


def check_same(found: Any, expected: Any) -> None:
    ours, theirs = describe(found), describe(expected)
    assert [row.feature for row in ours.coefficients] == [row.feature for row in theirs.coefficients]
    for mine, other in zip(ours.coefficients, theirs.coefficients, strict=True):
        assert mine.coef == pytest.approx(other.coef, rel=1e-8, abs=1e-10)
        if other.std_err is not None:
            assert mine.std_err == pytest.approx(other.std_err, rel=1e-8)
    assert ours.intercept == pytest.approx(theirs.intercept, rel=1e-8)
    assert ours.rows == theirs.rows


@pytest.mark.parametrize("what", SECTIONS)
@pytest.mark.parametrize("order", [("monday", "tuesday", "wednesday"), ("wednesday", "tuesday", "monday")])
def test_merged_they_are_the_statistics_of_all(
    days: Path, train_here: Train, what: str, order: tuple[str, ...]
) -> None:
    runs = [of(train_here, days, day, what).path for day in order]
    whole = of(train_here, days, "all", what)
    merged = merge_statistics([str(run) for run in runs], days / "merged.safetensors")
    assert merged.moments.feature_names == open_statistics(whole.path).moments.feature_names
    check_same(solve_statistics(days / "merged.safetensors"), whole.model)


def test_what_was_merged_can_be_subtracted_again(days: Path, train_here: Train) -> None:
    first, second = (of(train_here, days, day, "weighted") for day in ("monday", "wednesday"))
    merge_statistics([str(first.path), str(second.path)], days / "both.safetensors")
    subtract_statistics(days / "both.safetensors", str(second.path), days / "rest.safetensors")
    check_same(solve_statistics(days / "rest.safetensors"), first.model)


@pytest.mark.parametrize("what", ["weighted", "folds", "unseen zero"])
def test_an_update_takes_levels_that_are_new(days: Path, train_here: Train, what: str) -> None:
    (days / "grows").mkdir()
    section = {
        **SECTIONS[what],
        "data": {"target": "y", "path": str(days / "grows"), **SECTIONS[what]["data"]},
    }
    section["data"].setdefault("validation", {"method": "none"})
    spec = {"name": "grows", **section, "run": {"storage_path": str(days / "runs")}}
    for day in DAYS:
        write_parquet(
            days / "grows" / f"{day}.parquet", rows(DAYS[day], list(DAYS).index(day)), row_group_size=40
        )
        run = lr.train(spec, update=None if day == "monday" else days / "runs" / "grows")
    whole = of(train_here, days, "all", what)
    assert [row.feature for row in describe(run.model).coefficients] == [
        row.feature for row in describe(whole.model).coefficients
    ]
    np.testing.assert_allclose(run.model.coef_, whole.model.coef_, rtol=1e-8)


def test_what_cannot_be_subtracted_is_said_in_words(days: Path, train_here: Train) -> None:
    monday, tuesday = (of(train_here, days, day, "weighted").path for day in ("monday", "tuesday"))
    with pytest.raises(lr.DataError) as caught:
        subtract_statistics(str(monday), str(tuesday), days / "c.safetensors")
    assert f"{monday} has no level '9E', 'HA' of carrier, which {tuesday} has" in str(caught.value)
    assert "{" not in str(caught.value)


def test_the_same_data_twice_is_said_by_its_file(days: Path, train_here: Train) -> None:
    first, again = (
        of(train_here, days, "monday", "weighted").path,
        of(train_here, days, "all", "weighted").path,
    )
    with pytest.raises(lr.DataError, match=r"both hold monday\.parquet; their rows would count twice"):
        merge_statistics([str(first), str(again)], days / "c.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"data": {"weight": None, "exclude": ["w"]}}, "data.weight is w in .* and not set in"),
        ({"data": {"missing": "drop"}}, "data.missing is error in .* and drop in"),
        ({"data": {"exclude": ["x"]}}, "has no feature x, which .* has"),
        ({"data": {"filter": [["x", "<", 3]]}}, "data.filter is empty in .* and"),
        ({"data": {"unseen": "zero"}}, "carrier: data.unseen is error in one and zero in the other"),
    ],
)
def test_rules_that_differ_are_said_in_words(
    days: Path, train_here: Train, change: dict[str, Any], message: str
) -> None:
    first = of(train_here, days, "monday", "weighted").path
    other = train_here(days / "tuesday", name="other", data={"weight": "w", **change["data"]}).path
    with pytest.raises(lr.DataError, match=message) as caught:
        merge_statistics([str(first), str(other)], days / "c.safetensors")
    assert '{"' not in str(caught.value)


def test_means_in_the_place_of_missing_values_cannot_be_merged(days: Path, train_here: Train) -> None:
    parts = [train_here(days / day, name=day, data={"missing": "mean"}).path for day in ("monday", "tuesday")]
    with pytest.raises(lr.DataError, match="carrier: missing values were replaced by the frequencies"):
        merge_statistics([str(part) for part in parts], days / "c.safetensors")


def test_listed_levels_that_hide_others_cannot_be_widened(days: Path, train_here: Train) -> None:
    listed = {"monday": ["DL", "UA"], "tuesday": ["DL", "9E"]}
    parts = [
        train_here(days / day, name=day, data={"categorical": {"carrier": levels}, "unseen": "zero"}).path
        for day, levels in listed.items()
    ]
    with pytest.raises(lr.DataError, match="its levels are listed in the spec"):
        merge_statistics([str(part) for part in parts], days / "c.safetensors")


def test_merged_statistics_name_all_their_data(days: Path, train_here: Train) -> None:
    parts = [str(of(train_here, days, day, "weighted").path) for day in DAYS]
    merge_statistics(parts, days / "c.safetensors")
    model = solve_statistics(days / "c.safetensors")
    assert model.details.data is not None
    assert model.details.data.path == [str(days / day) for day in DAYS]
    assert model.details.data.files == 3


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdef"), unique=True, min_size=1), st.permutations("abcdef"))
def test_any_levels_move_to_any_that_hold_them(old: list[str], new: list[str]) -> None:
    column, target = CategoricalColumn("c", tuple(old)), CategoricalColumn("c", tuple(new))
    matrix, constant = column.moved(target)
    for level in old:
        before = np.array([float(level == each) for each in old[1:]])
        np.testing.assert_array_equal(matrix @ before + constant, [float(level == each) for each in new[1:]])
