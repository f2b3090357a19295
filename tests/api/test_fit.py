"""`lr.fit` on everything that holds rows: the same model as on Parquet, and errors that say what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import linreg_dist as lr
from tests.parquet import linear_columns, write_parquet

COLUMNS = linear_columns(300, 2, seed=3)
TABLE = pa.table(COLUMNS)


class Stream:
    """Another library's frame, which speaks Arrow alone."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return TABLE.__arrow_c_stream__(requested_schema)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> np.ndarray[Any, Any]:
    folder = tmp_path_factory.mktemp("parquet")
    path = write_parquet(folder / "a.parquet", COLUMNS)
    run = lr.fit(path, "y", progress=False, **{"run.storage_path": str(folder / "runs")})
    assert (run.path / "result.json").exists()
    return np.append(run.model.coef_, run.model.intercept_)


@pytest.mark.parametrize(
    "data",
    [
        lambda: pd.DataFrame(COLUMNS, index=np.arange(300) * 7),
        lambda: pl.DataFrame(COLUMNS),
        lambda: TABLE,
        lambda: TABLE.to_batches()[0],
        lambda: dict(COLUMNS),
        Stream,
        lambda: TABLE.to_pandas().to_records(index=False),
    ],
    ids=["pandas", "polars", "arrow", "batch", "dict", "stream", "records"],
)
def test_rows_in_memory_give_the_model_of_the_same_rows_on_parquet(
    data: Callable[[], Any], expected: np.ndarray[Any, Any]
) -> None:
    model = lr.fit(data(), "y", progress=False, outputs={"report": False}).model
    assert list(model.feature_names_in_) == ["x0", "x1"]
    # Which rows are held out follows from the file's name, so the fits differ by rows, not by method.
    np.testing.assert_allclose(np.append(model.coef_, model.intercept_), expected, atol=0.05)


def test_arrays_bring_the_values_of_the_target() -> None:
    x_ND, y = np.column_stack([COLUMNS["x0"], COLUMNS["x1"]]), COLUMNS["y"]
    options = {"outputs.report": False, "data.validation.method": "none"}
    model = lr.fit(x_ND, y, progress=False, **options).model
    np.testing.assert_allclose(model.coef_, np.linalg.lstsq(np.c_[x_ND, np.ones(300)], y)[0][:2], rtol=1e-6)
    two = lr.fit(pd.DataFrame(x_ND, columns=["a", "b"]), np.c_[y, -y], progress=False, **options).model
    assert two.targets == ("y0", "y1")
    np.testing.assert_allclose(two.coef_KD[0], -two.coef_KD[1])


def test_the_rest_of_the_spec_comes_by_sections_or_by_paths(tmp_path: Path) -> None:
    run = lr.fit(
        TABLE,
        ["y"],
        progress=False,
        name="kept",
        model={"l2": 0.5},
        **{"run.storage_path": str(tmp_path), "solver.name": "exact", "outputs.report": False},
    )
    assert run.path == tmp_path / "kept"
    assert run.document.penalty is not None
    assert run.document.penalty.l2 == 0.5
    assert lr.LinearModel.load(run.path).targets == ("y",)


def test_a_run_on_rows_in_memory_keeps_model_and_page_and_no_folder() -> None:
    run = lr.fit(TABLE, "y", progress=False)
    assert not run.path.exists()
    assert run.model.cov_params().shape == (3, 3)
    assert run.report.html.startswith("<!")
    assert run.report.path is None


def test_text_is_a_category_and_odd_names_survive() -> None:
    frame = pd.DataFrame({"${HOME} kind": ["a", "b", "c"] * 100, "x0": COLUMNS["x0"], "y": COLUMNS["y"]})
    options = {"data.categorical": {"${HOME} kind": ["a", "b", "c"]}}
    model = lr.fit(frame, "y", progress=False, outputs={"report": False}, **options).model  # type: ignore[arg-type]
    assert list(model.feature_names_in_) == ["${HOME} kind=b", "${HOME} kind=c", "x0"]


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: lr.train(pd.DataFrame(COLUMNS)), TypeError, r"a DataFrame of pandas.*lr\.fit\(df, \"y\"\)"),
        (lambda: lr.train(TABLE), TypeError, r"a Table of pyarrow.*lr\.fit"),
        (
            lambda: lr.train({"data": {"path": pl.DataFrame(COLUMNS), "target": "y"}}),
            TypeError,
            r"data.path is a DataFrame of polars.*lr\.fit",
        ),
        (
            lambda: lr.fit(np.ones((3, 2)), "y"),
            TypeError,
            r"columns of a NumPy array have no names.*lr\.fit\(X, y\)",
        ),
        (
            lambda: lr.fit("data/*.parquet", np.ones(3)),
            TypeError,
            "expected the name of a column of the Parquet",
        ),
        (lambda: lr.fit(object(), "y"), TypeError, "data is object; expected a path to Parquet, a DataFrame"),
        (lambda: lr.fit(np.ones((3, 2)), np.ones(4)), lr.DataError, "target has 4 values and data 3 rows"),
        (lambda: lr.fit(np.ones((3, 2)), ["a", 2]), TypeError, "expected the name of a column"),
        (lambda: lr.fit(np.array([["a"]]), np.ones(1)), lr.DataError, "expected numbers of shape"),
        (lambda: lr.fit(TABLE, "z"), lr.DataError, "z"),
        (lambda: lr.fit(TABLE, "y", **{"data.path": "x"}), lr.SpecError, "data.path is what lr.fit sets"),
        (lambda: lr.fit(TABLE, "y", **{"model.l3": 1}), lr.SpecError, 'unknown key "l3"'),
        (lambda: lr.fit(pd.DataFrame({"a": [1, "b"], "y": [1, 2]}), "y"), lr.DataError, "mixed objects"),
        (lambda: lr.fit({"a": [1, 2], "y": [1]}, "y"), lr.DataError, "make no table"),
        (lambda: lr.fit(pd.DataFrame({"a": [1, "b"], "y": [1, 2]}), "y"), lr.DataError, "the column 'a' of"),
        (lambda: lr.fit(pd.DataFrame(COLUMNS)[:0], "y"), lr.DataError, r"data \(DataFrame\) has no rows"),
        (lambda: lr.fit(TABLE, "Y"), lr.DataError, r"data \(Table\) has no column 'Y' \(target\)"),
        (
            lambda: lr.fit(pa.table([[1.0], [2.0], [3.0]], names=["x", "x", "y"]), "y"),
            lr.DataError,
            r"data \(Table\) has 2 columns named 'x'",
        ),
        (
            lambda: lr.fit({"x": [1.0, None], "y": [1.0, 2.0]}, "y", progress=False),
            lr.DataError,
            r"^the rows given: column 'x' has 1 null",
        ),
    ],
)
def test_what_cannot_be_fitted_says_what_can(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=re.compile(message, re.S)):
        call()


def test_nothing_is_shown_where_nobody_asks(capfd: pytest.CaptureFixture[str]) -> None:
    lr.fit(TABLE, "y", progress=False, outputs={"report": False})
    assert capfd.readouterr() == ("", "")


def test_epochs_are_shown_on_stderr_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    lr.fit(TABLE, "y", outputs={"report": False}, solver={"name": "adam", "epochs": 3})
    shown = capsys.readouterr()
    assert shown.out == ""
    assert re.search(r"^epoch +took", shown.err, re.M)
