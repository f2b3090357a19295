"""Pipelines in skops files, loaded and asked by scikit-learn alone."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from hypothesis import given, settings

from linreg_dist.data.design.categorical import CategoricalColumn
from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.data.design.vector import VectorColumn
from linreg_dist.errors import SpecError
from linreg_dist.export import FORMATS
from linreg_dist.model.linear_model import LinearModel, Matrix
from tests.export.models import Case, assert_as_ours, cases, model_of

SKLEARN = FORMATS["sklearn"]
TRUSTED = ["numpy.asarray", "numpy.dtype", "numpy.nan_to_num"]  # as docs/export.md has them


def frame_of(model: LinearModel, rows: pa.Table) -> pd.DataFrame:
    """Return the columns as docs/export.md says that they are."""
    columns: dict[str, Any] = {}
    for column in model.encoding.columns:
        values = rows.column(column.name).to_pylist()
        if isinstance(column, VectorColumn):
            for place in range(column.length or 0):
                columns[f"{column.name}[{place}]"] = [each and each[place] for each in values]
        else:
            columns[column.name] = pd.Series(values, dtype=object)
    return pd.DataFrame(columns)


def loaded(model: LinearModel) -> Any:
    return skops.io.loads(SKLEARN.files(model)[""], trusted=TRUSTED)


def scored(model: LinearModel, rows: pa.Table) -> Matrix:
    """Return (N, K), each row asked for alone; NaN for one that is refused."""
    fitted, frame, found = loaded(model), frame_of(model, rows), []
    for row in range(len(frame)):
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Found unknown categories")
                found.append(fitted.predict(frame.iloc[row : row + 1]).reshape(1, -1))
        except ValueError:
            found.append(np.full((1, len(model.targets)), np.nan))
    return np.concatenate(found)


@given(cases())
@settings(max_examples=40)
@pytest.mark.slow  # skops walks through the pipeline for each model
def test_it_predicts_as_we_do(case: Case) -> None:
    assert_as_ours(scored(case.model, case.table), case)


def test_rows_of_which_some_have_no_value_are_scored_together() -> None:
    model = model_of(NumericColumn("x"), CategoricalColumn("c", ("a", "b"), "zero"))
    rows = pa.table({"x": [1.0, None, 3.0, np.inf, 5.0], "c": ["a", "b", None, "b", "b"]})
    found = loaded(model).predict(rows.to_pandas())
    np.testing.assert_allclose(found, model.predict(rows), rtol=1e-12)
    assert np.isnan(found).tolist() == [False, True, True, True, False]


@pytest.mark.parametrize("dtype", [object, "str", "category"])
def test_pandas_may_hold_texts_as_it_likes(dtype: Any) -> None:
    model = model_of(CategoricalColumn("c", ("a", "b", "c"), "error", (0.25, 0.5)), missing="mean")
    rows = pd.DataFrame({"c": pd.Series(["a", None, "c"], dtype=dtype)})
    np.testing.assert_allclose(loaded(model).predict(rows), model.predict(rows), rtol=1e-12)


def test_what_we_refuse_it_refuses() -> None:
    fitted = loaded(model_of(NumericColumn("x"), CategoricalColumn("c", ("a", "b")), missing="error"))
    for row in ({"x": [None], "c": ["a"]}, {"x": [1.0], "c": [None]}, {"x": [1.0], "c": ["z"]}):
        with pytest.raises(ValueError, match=r"NaN|unknown categories"):
            fitted.predict(pd.DataFrame(row))


def test_no_pickle_is_in_the_file_and_little_is_to_be_trusted() -> None:
    model = model_of(NumericColumn("x"), VectorColumn("e", 3), CategoricalColumn("c", ("a", "b"), "zero"))
    content = SKLEARN.files(model)[""]
    assert content.startswith(b"PK")  # a zip of JSON and .npy
    assert set(skops.io.get_untrusted_types(data=content)) <= set(TRUSTED)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((), "it has none"),
        ((VectorColumn("e", 2), NumericColumn("e[1]")), r"e\[1\] would be a column and a place"),
    ],
)
def test_what_cannot_be_written_is_refused(columns: tuple[ColumnKind, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        SKLEARN.files(model_of(*columns))
