"""Lists of numbers as a block of features, held against the same numbers in columns of their own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import linreg_dist as lr
from linreg_dist.data.design.vector import VectorColumn
from linreg_dist.errors import DataError
from linreg_dist.verbs.score import evaluate, predict
from tests.parquet import write_parquet

N, L = 300, 3


def lists(kind: str, values: list[list[float | None] | None], inner: pa.DataType) -> pa.Array:
    if kind == "fixed":
        return pa.array(values, pa.list_(inner, L))
    return pa.array(values, pa.list_(inner) if kind == "list" else pa.large_list(inner))


def made(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, emb = rng.normal(size=N), rng.normal(size=(N, L))
    return x, emb, 1 + 2 * x + emb @ [3.0, -1.0, 0.5] + 0.1 * rng.normal(size=N)


@pytest.mark.parametrize("solver", ["exact", "lbfgs", "sgd"])
@pytest.mark.parametrize("kind", ["fixed", "list", "large"])
def test_a_list_is_the_same_as_columns_of_its_places(tmp_path, train_here, kind, solver):
    x, emb, y = made()
    block = lists(kind, emb.tolist(), pa.float64())
    columns = {f"emb[{place}]": emb[:, place] for place in range(L)}
    path = write_parquet(tmp_path / "a" / "a.parquet", {"x": x, "emb": block, "y": y}, row_group_size=70)
    plain = write_parquet(tmp_path / "b" / "a.parquet", {"x": x, **columns, "y": y}, row_group_size=70)
    settings = {"solver": {"name": solver, "epochs": 3}}
    run = train_here(path, name="block", data={"features": ["x", "emb"]}, **settings)
    other = train_here(plain, name="plain", **settings)
    assert list(run.model.feature_names_in_) == ["x", "emb[0]", "emb[1]", "emb[2]"]
    # The files have other names, which seed the shuffle; the exact solver does not shuffle.
    tolerance = 1e-12 if solver == "exact" else 1e-6
    np.testing.assert_allclose(run.model.coef_, other.model.coef_, rtol=tolerance, atol=tolerance)
    model = lr.LinearModel.load(run.path)
    predicted = model.predict(pa.table({"emb": block, "x": x}))
    np.testing.assert_allclose(predicted, other.model.predict(pa.table({"x": x, **columns})), rtol=1e-6)
    predict(run.path, str(path), tmp_path / "out")
    scored = pq.read_table(tmp_path / "out").column("prediction").to_numpy()
    np.testing.assert_allclose(scored, predicted, rtol=1e-12)
    assert evaluate(run.path, str(path)).metrics.r2 > 0.9


def test_a_list_of_fixed_length_is_a_feature_by_default_and_another_when_it_is_named(tmp_path, train_here):
    x, emb, y = made()
    for kind in ("fixed", "list"):
        block = lists(kind, emb.astype(np.float32).tolist(), pa.float32())
        path = write_parquet(tmp_path / f"{kind}.parquet", {"x": x, "emb": block, "y": y})
        run = train_here(path, name=kind)
        names = list(run.model.feature_names_in_)
        assert names == (["x", "emb[0]", "emb[1]", "emb[2]"] if kind == "fixed" else ["x"])
    assert "data.features" in run.result["data"]["skipped_columns"]["emb"]


@pytest.mark.parametrize("kind", ["fixed", "list"])
@pytest.mark.parametrize("missing", ["drop", "mean"])
def test_a_gap_in_a_list_or_no_list_is_a_missing_value(tmp_path, train_here, kind, missing):
    x, emb, y = made()
    emb[5, 1], emb[9, 0], emb[200, 2] = np.nan, np.inf, np.nan
    values = emb.tolist()
    values[5][1] = None
    values[17] = values[18] = None
    path = write_parquet(
        tmp_path / "a.parquet",
        {"x": x, "emb": lists(kind, values, pa.float64()), "y": y},
        row_group_size=100,
    )
    run = train_here(path, data={"features": ["x", "emb"], "missing": missing})
    emb[[17, 18]] = np.nan
    emb[~np.isfinite(emb)] = np.nan
    gaps = np.isnan(emb).any(axis=1)
    if missing == "drop":
        design = np.column_stack([np.ones(N), x, emb])[~gaps]
        want = np.linalg.lstsq(design, y[~gaps], rcond=None)[0]
        assert run.result["rows"]["dropped"]["missing"] == 5
    else:
        filled = np.where(np.isnan(emb), np.nanmean(emb, axis=0), emb)
        want = np.linalg.lstsq(np.column_stack([np.ones(N), x, filled]), y, rcond=None)[0]
    np.testing.assert_allclose([run.model.intercept_, *run.model.coef_], want, rtol=1e-9)
    predicted = run.model.predict(pa.table({"x": x, "emb": lists(kind, values, pa.float64())}))
    np.testing.assert_array_equal(np.isnan(predicted), gaps if missing == "drop" else np.zeros(N, bool))


@pytest.mark.parametrize("missing", ["error", "mean"])
@pytest.mark.parametrize("place", ["within a row group", "between row groups"])
def test_lists_of_unequal_lengths_are_refused_with_the_row_group(tmp_path, train_here, missing, place):
    values = [[1.0, 2.0]] * 50 + [[1.0, 2.0, 3.0]] * 50
    path = write_parquet(
        tmp_path / "a.parquet",
        {"emb": lists("list", values, pa.float64()), "y": np.arange(100.0)},
        row_group_size=100 if place == "within a row group" else 50,
    )
    number = 0 if place == "within a row group" else 1
    with pytest.raises(
        DataError, match=rf"a\.parquet \(row group {number}\): column 'emb' has lists of . numbers"
    ):
        train_here(path, data={"features": ["emb"], "missing": missing})


def test_a_list_of_another_length_in_a_row_that_does_not_count_says_nothing(tmp_path, train_here):
    x, emb, y = made()
    values = [*emb.tolist(), [1.0], [2.0] * 9]
    table = {"x": [*x, 1.0, 1.0], "emb": lists("list", values, pa.float64()), "y": [*y, None, 1.0]}
    path = write_parquet(tmp_path / "a.parquet", pa.table({**table, "w": [1.0] * (N + 1) + [0.0]}))
    run = train_here(path, data={"features": ["x", "emb"], "missing": "drop", "weight": "w"})
    assert run.result["rows"] == {
        "train": N,
        "validation": 0,
        "dropped": {"filter": 0, "missing": 1, "weight 0": 1},
    }


def test_scoring_refuses_lists_of_another_length_and_other_types(tmp_path, train_here):
    x, emb, y = made()
    path = write_parquet(
        tmp_path / "a.parquet", {"x": x, "emb": lists("fixed", emb.tolist(), pa.float64()), "y": y}
    )
    model = train_here(path).model
    for wrong in ([[1.0, 2.0]], [[1.0, 2.0, 3.0, 4.0]]):
        with pytest.raises(DataError, match=r"'emb' has lists of . numbers; expected 3"):
            model.predict(pa.table({"x": [1.0], "emb": wrong}))
    with pytest.raises(DataError, match=r"'emb' has type double; the model expects lists of numbers"):
        model.predict(pa.table({"x": [1.0], "emb": [1.0]}))


ELEMENT = st.one_of(st.none(), st.floats(-9, 9, width=32), st.just(float("nan")))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # of a busy machine
@given(
    values=st.lists(st.one_of(st.none(), st.lists(ELEMENT, min_size=2, max_size=2)), min_size=1, max_size=8),
    kind=st.sampled_from([pa.list_(pa.float64()), pa.large_list(pa.float32()), pa.list_(pa.float64(), 2)]),
    chunks=st.integers(1, 3),
    start=st.integers(0, 3),
)
def test_decoding_agrees_with_python(values, kind, chunks, start):
    column = VectorColumn("v", 2)
    whole = pa.chunked_array([pa.array(values, kind)] * chunks).slice(start)
    decoded = column.decode(whole)
    want = np.array(
        [
            [np.nan] * 2 if row is None else [np.nan if one is None else one for one in row]
            for row in whole.to_pylist()
        ]
    ).reshape(-1, 2)
    got = np.stack([decoded.place(0), decoded.place(1)], axis=1)
    np.testing.assert_array_equal(got.astype(float), want)
    mask = column.missing(decoded)
    np.testing.assert_array_equal(
        np.zeros(len(want), bool) if mask is None else mask, np.isnan(want).any(axis=1)
    )


def test_it_survives_json():
    column = VectorColumn("v", 2, (0.5, 1.0))
    document = json.loads(json.dumps(column.to_json()))
    VectorColumn.check_json(document)
    assert VectorColumn.from_json(document) == column
    for wrong in ({"length": -1}, {"length": True}, {"fill": [1.0]}, {"fill": "x"}):
        with pytest.raises(ValueError, match="'v'"):
            VectorColumn.check_json({**document, **wrong})


def test_a_model_with_a_block_is_kept_in_the_files_of_the_run(tmp_path: Path, train_here):
    x, emb, y = made()
    path = write_parquet(
        tmp_path / "a.parquet", {"x": x, "emb": lists("fixed", emb.tolist(), pa.float64()), "y": y}
    )
    run = train_here(path)
    documents = json.loads((run.path / "model" / "config.json").read_text())["columns"]
    assert documents[1] == {"name": "emb", "kind": "vector", "length": 3, "fill": None}
    np.testing.assert_array_equal(lr.LinearModel.load(run.path).coef_, run.model.coef_)
