"""Columns are the union over all files, in any order of files and columns; uncounted rows say nothing.

Held against numpy's least squares in float64 on the same rows in memory.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import linreg_dist as lr
from linreg_dist.errors import DataError
from linreg_dist.verbs.score import evaluate, predict
from tests.parquet import write_parquet

ROWS = 60


def least_squares(frame: pd.DataFrame, features: list[str], weight: str | None = None) -> list[float]:
    """Return intercept and coefficients; text becomes 0/1 columns without the first level."""
    design = pd.get_dummies(frame[features], drop_first=True, dtype=float).astype(float)
    x = np.column_stack([np.ones(len(frame)), design])
    root = np.sqrt(frame[weight].to_numpy(float)) if weight else np.ones(len(frame))
    return np.linalg.lstsq(x * root[:, None], frame["y"].to_numpy(float) * root, rcond=None)[0].tolist()


def fitted(run: Any) -> list[float]:
    return [run.model.intercept_, *run.model.coef_]


def made(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"x": rng.normal(size=ROWS), "z": rng.normal(size=ROWS)})
    frame["c"] = rng.choice(["a", "b", "d"], ROWS)
    frame["w"] = rng.uniform(0.5, 2.0, ROWS)
    frame["y"] = 1 + 2 * frame.x - 3 * frame.z + (frame.c == "b") + 0.1 * rng.normal(size=ROWS)
    return frame


def write(path: Path, frame: pd.DataFrame, lacking: str, gap: str) -> None:
    table = pa.Table.from_pandas(frame.drop(columns=lacking), preserve_index=False)
    if gap == "null":
        table = table.append_column(lacking, pa.nulls(len(frame)))
    write_parquet(path, table, row_group_size=25)


ROLES = {"z": "feature", "y": "target", "w": "weight", "c": "category"}


@pytest.mark.parametrize("order", ["first", "last"])
@pytest.mark.parametrize("gap", ["lacks", "null"])
@pytest.mark.parametrize("lacking", ROLES)
def test_a_column_that_a_file_lacks_is_missing_there(tmp_path, train_here, lacking, gap, order):
    full, part = made(0), made(1)
    names = ("b", "a") if order == "first" else ("a", "b")
    write_parquet(tmp_path / "d" / f"{names[0]}.parquet", pa.Table.from_pandas(full, preserve_index=False))
    write(tmp_path / "d" / f"{names[1]}.parquet", part, lacking, gap)
    run = train_here(tmp_path / "d", data={"weight": "w", "missing": "drop"})
    assert sorted(run.model.columns) == ["c", "x", "z"]
    assert run.result["rows"] == {
        "train": ROWS,
        "validation": 0,
        "dropped": {"filter": 0, "missing": ROWS},
    }
    got = dict(zip(run.model.feature_names_in_, run.model.coef_, strict=True))
    want = least_squares(full, ["x", "z", "c"], "w")
    np.testing.assert_allclose(
        [run.model.intercept_, got["x"], got["z"], got["c=b"], got["c=d"]], want, rtol=1e-8
    )
    if lacking in ("z", "c"):
        predict(run.path, str(tmp_path / "d"), tmp_path / "out")
        scored = pq.read_table(tmp_path / "out" / f"{names[1]}.parquet").column("prediction")
        assert scored.null_count == ROWS
        assert evaluate(run.path, str(tmp_path / "d")).rows == ROWS
    with pytest.raises(DataError, match=rf"{names[1]}\.parquet.*'{lacking}'.*data\.missing is error"):
        train_here(tmp_path / "d", name="refused", data={"weight": "w"})


def test_a_column_that_a_file_lacks_takes_the_mean_where_asked_to(tmp_path, train_here):
    full, part = made(0), made(1)
    write_parquet(tmp_path / "d" / "a.parquet", pa.Table.from_pandas(full, preserve_index=False))
    write(tmp_path / "d" / "b.parquet", part, "z", "lacks")
    run = train_here(tmp_path / "d", data={"features": ["x", "z"], "missing": "mean"})
    both = pd.concat([full, part.assign(z=full.z.mean())])
    np.testing.assert_allclose(fitted(run), least_squares(both, ["x", "z"]), rtol=1e-8)


def test_an_update_with_files_that_lack_a_column_or_bring_a_new_one(tmp_path, train_here):
    full, part, wide = made(0), made(1), made(2)
    data = {"features": None, "exclude": ["w"], "missing": "drop"}
    write_parquet(tmp_path / "d" / "a.parquet", pa.Table.from_pandas(full, preserve_index=False))
    first = train_here(tmp_path / "d", name="first", data=data)
    write(tmp_path / "d" / "b.parquet", part, "z", "lacks")
    write_parquet(
        tmp_path / "d" / "c.parquet", pa.Table.from_pandas(wide.assign(q=1.0), preserve_index=False)
    )
    spec = {
        "name": "second",
        "data": {"path": str(tmp_path / "d"), "target": "y", "validation": {"method": "none"}, **data},
        "run": {"storage_path": str(tmp_path / "runs")},
    }
    run = lr.train(spec, update=first.path)
    assert run.result["rows"]["train"] == 2 * ROWS
    assert "q" in run.result["data"]["skipped_columns"]
    want = least_squares(pd.concat([full, wide]), ["x", "z", "c"])
    np.testing.assert_allclose(fitted(run), want, rtol=1e-8)


TAKEN_OUT = {
    "no target": {"y": None},
    "no weight": {"w": None},
    "weight 0": {"w": 0.0},
    "no cluster": {"g": None},
    "filter": {"k": 1},
    "no feature": {"z": None},
}
WRONG = {"level": {"c": "new"}, "huge": {"x": 1e300}, "negative weight": {"w": -1.0}, "null": {"x": None}}


# One weight cannot be two things, and clusters are the exact solver's.
GRID = [
    (rule, wrong, solver)
    for rule, wrong, solver in itertools.product(TAKEN_OUT, WRONG, ("exact", "sgd"))
    if not (wrong == "negative weight" and "w" in TAKEN_OUT[rule])
    and not (rule == "no cluster" and solver == "sgd")
]


@pytest.mark.parametrize(("rule", "wrong", "solver"), GRID)
def test_a_row_that_is_taken_out_says_nothing_whatever_the_order(tmp_path, train_here, rule, wrong, solver):
    changes = {**WRONG[wrong], **TAKEN_OUT[rule]}
    missing = "drop" if rule.startswith("no") else "error"
    if wrong == "null" and rule == "no feature":
        missing = "drop"
    frame = made(3).assign(g=np.arange(ROWS) % 7, k=0)
    results = []
    for number, backwards in enumerate((False, True)):
        rows = frame.to_dict("list")
        for name, value in changes.items():
            rows[name][30] = value
        table = pa.table(rows)
        names = sorted(table.column_names, reverse=backwards)
        path = write_parquet(tmp_path / f"d{number}" / "a.parquet", table.select(names), row_group_size=20)
        data: dict[str, Any] = {
            "features": ["x", "z", "c"],
            "weight": "w",
            "filter": [["k", "==", 0]],
            "missing": missing,
            "categorical": {"c": ["a", "b", "d"]},
        }
        model = {"covariance": "cluster"} if solver == "exact" else {}
        if model:
            data["cluster"] = "g"
        settings = {"solver": {"name": solver, "epochs": 2, "global_batch_size": 30}}
        run = train_here(path, name=f"{number}", data=data, model=model, **settings)
        assert run.result["rows"]["train"] == ROWS - 1
        assert sum(run.result["rows"]["dropped"].values()) == 1
        results.append(fitted(run))
    np.testing.assert_array_equal(results[0], results[1])
    if solver == "exact":
        want = least_squares(frame.drop(index=30), ["x", "z", "c"], "w")
        np.testing.assert_allclose(results[0], want, rtol=1e-8)


def test_a_level_that_only_rows_without_target_have_is_no_level(tmp_path, train_here):
    frame = made(4)
    rows = frame.to_dict("list")
    rows["c"][7], rows["y"][7], rows["c"][9], rows["w"][9] = "odd", None, "even", 0.0
    for number, names in enumerate(itertools.permutations(["c", "y", "w"])):
        table = pa.table(rows).select(["x", *names])
        path = write_parquet(tmp_path / f"d{number}.parquet", table)
        run = train_here(path, name=f"n{number}", data={"weight": "w", "missing": "drop"})
        assert list(run.model.encoding.names) == ["x", "c=b", "c=d"]
        assert run.result["rows"]["train"] == ROWS - 2


def test_scoring_does_not_look_at_rows_that_it_leaves_out(tmp_path, train_here):
    frame = made(5)
    path = write_parquet(tmp_path / "a.parquet", pa.Table.from_pandas(frame, preserve_index=False))
    run = train_here(path, data={"features": ["x", "z", "c"], "missing": "drop"})
    rows = frame.to_dict("list")
    rows["c"][3], rows["z"][3] = "new", None
    both = write_parquet(tmp_path / "b.parquet", pa.table(rows))
    predict(run.path, str(both), tmp_path / "out")
    scored = pq.read_table(tmp_path / "out").column("prediction")
    assert scored.is_null().to_pylist() == [row == 3 for row in range(ROWS)]
    rows["z"][3], rows["y"][3] = 1.0, None
    assert evaluate(run.path, str(write_parquet(tmp_path / "c.parquet", pa.table(rows)))).rows == ROWS - 1


NUMBERS = [pa.int8(), pa.int32(), pa.int64(), pa.uint16(), pa.float32(), pa.float64(), pa.bool_()]


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(draw=st.data())
def test_any_files_give_the_fit_of_their_rows_in_memory(draw):
    """Schemas, nulls, orders of files and columns, and row groups are drawn."""
    missing = draw.draw(st.sampled_from(["drop", "mean"]))
    rng = np.random.default_rng(draw.draw(st.integers(0, 2**31)))
    frames = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for number in range(draw.draw(st.integers(2, 4))):
            size = draw.draw(st.integers(25, 60))
            columns: dict[str, pa.Array] = {}
            for name in draw.draw(st.permutations(["a", "b", "c", "y"])):
                if number and draw.draw(st.integers(0, 5)) == 0:
                    if draw.draw(st.booleans()):
                        columns[name] = pa.nulls(size)
                    continue
                gaps = rng.random(size) < draw.draw(st.sampled_from([0.0, 0.1]))
                if name == "c":
                    columns[name] = pa.array(rng.choice(["u", "v"], size), mask=gaps)
                    continue
                kind = pa.float64() if name == "y" or not number else draw.draw(st.sampled_from(NUMBERS))
                values = rng.normal(size=size) if pa.types.is_floating(kind) else rng.integers(0, 2, size)
                columns[name] = pa.array(values, mask=gaps).cast(kind)
            columns = columns or {"a": pa.nulls(size)}
            table = pa.table(columns)
            write_parquet(
                folder / "d" / f"{'zyxw'[number]}.parquet",
                table,
                row_group_size=draw.draw(st.integers(7, 60)),
            )
            frames.append(table.to_pandas().reindex(columns=["a", "b", "c", "y"]))
        whole = pd.concat([frame.astype(dict.fromkeys("aby", float)) for frame in frames])
        kept = whole.dropna() if missing == "drop" else whole.dropna(subset=["y"])
        spec = {
            "name": "job",
            "data": {
                "path": str(folder / "d"),
                "target": "y",
                "missing": missing,
                "validation": {"method": "none"},
            },
            "run": {"storage_path": str(folder / "runs")},
            "outputs": {"report": False},
        }
        run = lr.train(spec)
        assert run.result["rows"]["train"] == len(kept)
        c = (kept["c"] == "v").astype(float).where(kept["c"].notna())
        design = pd.DataFrame({"a": kept["a"], "b": kept["b"], "c=v": c})
        design = design.fillna(design.mean())
        x = np.column_stack([np.ones(len(design)), design])
        want = dict(
            zip(["", *design], np.linalg.lstsq(x, kept["y"].to_numpy(float), rcond=None)[0], strict=True)
        )
        got = {"": run.model.intercept_} | dict(zip(run.model.encoding.names, run.model.coef_, strict=True))
        assert sorted(got) == sorted(want)
        np.testing.assert_allclose([got[name] for name in want], list(want.values()), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(range(5), pa.timestamp("ns")),
        pa.array(range(5), pa.date32()),
        pa.array(range(5), pa.time64("us")),
        pa.array(range(5), pa.duration("s")),
        pa.array(["1.5"] * 5),
        pa.array([b"1"] * 5),
        pa.array([[1.0]] * 5),
    ],
    ids=lambda column: str(column.type),
)
def test_scoring_refuses_what_training_refuses(tmp_path, train_here, column):
    frame = made(6)
    path = write_parquet(tmp_path / "a.parquet", pa.Table.from_pandas(frame, preserve_index=False))
    run = train_here(path, data={"features": ["x"]})
    table = pa.table({"x": column, "y": np.arange(5.0)})
    wrong = write_parquet(tmp_path / "b.parquet", table)
    with pytest.raises(DataError, match=r"b\.parquet: the feature 'x' has type .*; expected a number"):
        predict(run.path, str(wrong), tmp_path / "out")
    with pytest.raises(DataError, match=r"b\.parquet: the feature 'x' has type .*; expected a number"):
        evaluate(run.path, str(wrong))
    with pytest.raises(DataError, match=r"column 'x' has type .*; the model expects a number"):
        run.model.predict(table)
    if not pa.types.is_string(column.type) and not pa.types.is_list(column.type):  # those are other kinds
        with pytest.raises(DataError, match=r"b\.parquet: the feature 'x' has type .*; expected a number"):
            train_here(wrong, name="wrong", data={"features": ["x"]})


def test_hive_keys_are_read_as_the_model_has_them(tmp_path, train_here):
    frame = made(7)
    for key in ("01", "2", "north"):
        table = pa.Table.from_pandas(frame[["x", "y"]], preserve_index=False)
        write_parquet(tmp_path / "d" / f"zone={key}" / "a.parquet", table)
    run = train_here(tmp_path / "d")
    assert list(run.model.encoding.names) == ["x", "zone=2", "zone=north"]
    predict(run.path, str(tmp_path / "d"), tmp_path / "all")
    for key in ("01", "2", "north"):
        predict(run.path, str(tmp_path / "d" / f"zone={key}"), tmp_path / key)
        one, part = (
            pq.ParquetFile(next(folder.rglob("*.parquet"))).read()
            for folder in (tmp_path / key, tmp_path / "all" / f"zone={key}")
        )
        assert one.column("prediction").equals(part.column("prediction"))


@pytest.mark.parametrize("levels", ["auto", ["01", "02"]])
def test_leading_zeros_of_hive_keys_survive_in_a_category(tmp_path, train_here, levels):
    frame = made(8)
    for key in ("01", "02"):
        table = pa.Table.from_pandas(frame[["x", "y"]], preserve_index=False)
        write_parquet(tmp_path / "d" / f"zone={key}" / "a.parquet", table)
    run = train_here(tmp_path / "d", data={"categorical": {"zone": levels}})
    assert list(run.model.encoding.names) == ["x", "zone=02"]
    predict(run.path, str(tmp_path / "d" / "zone=02"), tmp_path / "out")


def test_a_key_of_one_value_is_not_asked_for_when_scoring(tmp_path, train_here):
    frame = made(9)
    table = pa.Table.from_pandas(frame[["x", "y"]], preserve_index=False)
    path = write_parquet(tmp_path / "d" / "day=1" / "zone=a" / "a.parquet", table)
    elsewhere = write_parquet(tmp_path / "e" / "a.parquet", table)
    run = train_here(path.parent)
    assert run.model.columns == ("x",)
    named = train_here(path.parent, name="named", data={"features": ["x", "zone"]})
    for number, one in enumerate((run, named)):
        predict(one.path, str(elsewhere), tmp_path / f"out{number}")
        assert one.model.predict(table).shape == (ROWS,)


def test_no_rows_in_no_rows_out(tmp_path, train_here):
    frame = made(10)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    path = write_parquet(tmp_path / "a.parquet", table)
    run = train_here(path, data={"features": ["x", "c"]})
    write_parquet(tmp_path / "e" / "empty.parquet", table.slice(0, 0))
    found = predict(run.path, str(tmp_path / "e"), tmp_path / "out", keep=["c"])
    assert (found.rows, found.files) == (0, 1)
    scored = pq.read_table(tmp_path / "out" / "empty.parquet")
    assert scored.num_rows == 0
    assert scored.schema.names == ["c", "prediction"]
    write_parquet(tmp_path / "e" / "full.parquet", table)
    assert predict(run.path, str(tmp_path / "e"), tmp_path / "both").files == 2
    assert sorted(file.name for file in (tmp_path / "both").iterdir()) == ["empty.parquet", "full.parquet"]
    assert run.model.predict(table.slice(0, 0)).shape == (0,)


def test_every_column_that_is_left_out_is_named_with_its_reason(tmp_path, train_here, caplog):
    frame = made(11)
    table = pa.Table.from_pandas(frame[["x", "y"]], preserve_index=False)
    table = table.append_column("when", pa.array(range(ROWS), pa.timestamp("us")))
    table = table.append_column("raw", pa.array([b"a"] * ROWS))
    path = write_parquet(tmp_path / "a.parquet", table)
    run = train_here(path)
    assert sorted(run.result["data"]["skipped_columns"]) == ["raw", "when"]
    assert "no feature: when: type timestamp[us] is neither a number nor a string" in caplog.text
    assert json.loads((run.path / "result.json").read_text())["data"]["skipped_columns"]["when"]


def test_types_that_widen_are_told_once(tmp_path, train_here, caplog):
    frame = made(12)
    for name, kind in (("a", pa.int32()), ("b", pa.float64()), ("c", pa.float64())):
        table = pa.table({"x": pa.array(range(ROWS), kind), "y": frame["y"]})
        write_parquet(tmp_path / "d" / f"{name}.parquet", table)
    train_here(tmp_path / "d")
    told = [record.getMessage() for record in caplog.records if "column x:" in record.getMessage()]
    assert len(told) == 1
    assert "int32 in " in told[0]
    assert told[0].endswith("taken as double")
