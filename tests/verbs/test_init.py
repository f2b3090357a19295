"""A drafted spec trains as it is, says what it left out and why, and guesses nothing that is not obvious."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import linreg_dist as lr
from linreg_dist.data.source.manifest import read_manifest
from linreg_dist.jobspec import load_spec
from linreg_dist.verbs.begin import look
from linreg_dist.verbs.begin.init import init

ROWS = 400
RNG = np.random.default_rng(0)


def columns() -> dict[str, Any]:
    x = RNG.normal(size=ROWS)
    return {
        "x": x,
        "kind": pa.array([None if i % 40 == 0 else "abc"[i % 3] for i in range(ROWS)]),
        "flag": x > 0,
        "year": np.full(ROWS, 2013),
        "row": np.arange(ROWS),
        "user_id": RNG.integers(0, 50, ROWS),
        "mail": [f"a{i}@b.c" for i in range(ROWS)],
        "when": [datetime.datetime(2013, 1, 1)] * ROWS,
        "sparse": pa.array([float(i) if i % 7 == 0 else None for i in range(ROWS)]),
        "nothing": pa.nulls(ROWS, pa.float64()),
        "y": 2 * x + RNG.normal(size=ROWS),
    }


def write(path: Path, table: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(table), path, **options)
    return path


def trains(spec: Path, folder: Path) -> lr.Run:
    return lr.train(spec, {"outputs.report": False, "run.storage_path": str(folder)}, fresh=True)


def test_a_draft_trains_as_it_is_and_says_what_is_left_out(tmp_path: Path) -> None:
    data = write(tmp_path / "a.parquet", columns())
    drafted = init(str(data), [], tmp_path / "job.yaml")
    assert drafted.targets == ["y"]
    assert drafted.features == ["x", "kind", "flag"]
    assert drafted.left_out == {
        "year": "constant: 2013 in every row",
        "row": "it numbers the rows",
        "user_id": "an identifier by its name; its numbers are no quantities",
        "mail": "400 different texts in 400 rows: an identifier",
        "when": "type timestamp[us] is neither a number nor a string",
        "sparse": "86 % of its values are missing",
        "nothing": "it has no value",
    }
    for name, reason in drafted.left_out.items():
        assert f"  #   {name}: {reason}\n" in drafted.spec
    assert "path: a.parquet\n" in drafted.spec, "relative to the spec"
    run = trains(tmp_path / "job.yaml", tmp_path / "runs")
    assert run.document.name == "job"
    assert run.model.feature_names_in_.tolist() == ["x", "kind=b", "kind=c", "flag"]
    assert (
        run.result["rows"]["dropped"]["total" if "total" in run.result["rows"]["dropped"] else "missing"]
        == 10
    )


def test_the_draft_is_the_same_whether_it_is_written_or_not(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.parquet", columns())
    written = init("a.parquet", ["x"], "a.yaml")
    assert (tmp_path / "a.yaml").read_text() == written.spec == init("a.parquet", ["x"]).spec
    with pytest.raises(lr.SpecError, match="is there already"):
        init("a.parquet", ["x"], "a.yaml")
    assert (tmp_path / "a.yaml").read_text() == written.spec


def test_a_target_that_is_not_obvious_is_asked_for_with_those_it_can_be(tmp_path: Path) -> None:
    table = columns()
    table["delay"] = table.pop("y")
    data = write(tmp_path / "a.parquet", table)
    with pytest.raises(lr.SpecError, match="which column is to be predicted") as caught:
        init(str(data))
    listed = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]]
    assert listed == ["x", "flag", "sparse", "delay"] or listed == ["x", "flag", "delay"]


def test_the_only_number_is_obvious(tmp_path: Path) -> None:
    data = write(tmp_path / "a.parquet", {"kind": ["a", "b", "a"] * 9, "price": range(2, 29)})
    table = {"kind": ["a", "b", "a"] * 9, "price": RNG.normal(size=27)}
    data = write(tmp_path / "a.parquet", table)
    drafted = init(str(data))
    assert drafted.targets == ["price"]
    assert "target: price  # the only number that varies" in drafted.spec


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("z", "no column 'z'"),
        ("kind", "expected a number"),
        ("year", "'year' is constant: 2013 in every row"),
        ("nothing", "'nothing' is without any value"),
    ],
)
def test_a_target_that_cannot_be_predicted_is_refused(tmp_path: Path, target: str, message: str) -> None:
    data = write(tmp_path / "a.parquet", columns())
    with pytest.raises(lr.DataError, match=message):
        init(str(data), [target])


def test_data_without_a_feature_is_refused_with_the_reasons(tmp_path: Path) -> None:
    data = write(tmp_path / "a.parquet", {"y": RNG.normal(size=9), "one": [1] * 9})
    with pytest.raises(lr.DataError, match=r"no column is left to predict y from:\n  one: constant: 1"):
        init(str(data))


def test_a_column_that_gives_the_target_away_is_pointed_out(tmp_path: Path) -> None:
    y = RNG.normal(size=100)
    data = write(tmp_path / "a.parquet", {"y": y, "after": y + 1e-3 * RNG.normal(size=100)})
    assert "CHECK: it follows y closely (r = 1.0000)" in init(str(data)).spec


def test_gaps_in_most_rows_are_filled_and_not_dropped(tmp_path: Path) -> None:
    holes = {
        f"x{i}": [None if (row + i) % 3 == 0 else float(row % 17) for row in range(90)] for i in range(3)
    }
    data = write(tmp_path / "a.parquet", {**holes, "y": RNG.normal(size=90)})
    init(str(data), [], tmp_path / "job.yaml")
    assert load_spec(tmp_path / "job.yaml").data.missing == "mean"
    assert trains(tmp_path / "job.yaml", tmp_path / "runs").result["rows"]["train"] > 60


def test_of_large_data_a_part_is_read_and_texts_are_estimated(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(look, "MOST_ROWS", 2_000)
    table = {
        "few": [f"{i % 7}" for i in range(20_000)],
        "many": [f"{i % 4_000}" for i in range(20_000)],
        "y": RNG.normal(size=20_000),
    }
    data = write(tmp_path / "a.parquet", table, row_group_size=500)
    drafted = init(str(data))
    assert drafted.rows == 20_000
    assert drafted.rows_looked_at == 2_000
    assert drafted.features == ["few"]
    assert "an identifier" in drafted.left_out["many"]
    assert "missing: drop" in drafted.spec, "a gap may be in the rows that were not read"


def test_a_look_takes_row_groups_from_all_of_the_data(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(look, "MOST_ROWS", 300)
    data = write(tmp_path / "a.parquet", {"y": np.arange(1000.0)}, row_group_size=100)
    facts = look.look(read_manifest([str(data)]))
    assert facts.rows_looked_at == 300
    assert (facts.columns["y"].least, facts.columns["y"].most) == (0, 999)


@pytest.mark.parametrize("output", ["job.json", "nowhere/job.yaml", "s3://bucket/job.yaml", "folder.yaml"])
def test_an_output_that_is_no_new_spec_is_refused(tmp_path: Path, monkeypatch: Any, output: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    write(tmp_path / "a.parquet", columns())
    with pytest.raises(lr.SpecError, match="-o "):
        init("a.parquet", [], output)


AWKWARD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=6)
NUMBERS = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32), st.just(float("nan")), st.just(float("inf")))


@st.composite
def tables(draw: st.DrawFn) -> dict[str, Any]:
    rows = draw(st.integers(3, 70))
    kinds = {
        "float": NUMBERS,
        "int": st.one_of(st.none(), st.integers(-5, 1_000_000)),
        "bool": st.one_of(st.none(), st.booleans()),
        "text": st.one_of(st.none(), AWKWARD),
        "level": st.one_of(st.none(), st.sampled_from(["a", "b", "${HOME}"])),
        "date": st.one_of(st.none(), st.dates()),
    }
    names = draw(st.lists(AWKWARD, min_size=1, max_size=5, unique=True).filter(lambda n: "y" not in n))
    table: dict[str, Any] = {}
    for name in names:
        values = kinds[draw(st.sampled_from(sorted(kinds)))]
        table[name] = pa.array(draw(st.lists(values, min_size=rows, max_size=rows)))
    seed = draw(st.integers(0, 99))
    return {**table, "y": np.random.default_rng(seed).normal(size=rows)}


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(table=tables())
def test_every_draft_trains_whatever_the_names_and_the_gaps(tmp_path: Path, table: dict[str, Any]) -> None:
    data = write(tmp_path / "a.parquet", table)
    spec = tmp_path / "job.yaml"
    spec.unlink(missing_ok=True)
    try:
        drafted = init(str(data), ["y"], spec)
    except lr.DataError as error:
        assert "no column is left" in str(error)  # noqa: PT017 (some tables have no feature)
        return
    run = trains(spec, tmp_path / "runs")
    assert run.document.status == "succeeded"
    assert {*drafted.features, *drafted.left_out, "y"} == set(table)
