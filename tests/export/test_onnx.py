"""ONNX graphs, executed in onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from hypothesis import given, settings

from linreg_dist.data.design.categorical import CategoricalColumn
from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.data.design.vector import VectorColumn
from linreg_dist.errors import SpecError
from linreg_dist.export import FORMATS
from linreg_dist.export.terms import prediction_names
from linreg_dist.model.linear_model import LinearModel, Matrix
from tests.export.models import Case, assert_as_ours, cases, model_of

ONNX = FORMATS["onnx"]


def session_of(model: LinearModel) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(ONNX.files(model)[""], options)


def feed_of(model: LinearModel, rows: pa.Table) -> dict[str, Any]:
    """Return the inputs as docs/export.md says that they are."""
    feed: dict[str, Any] = {}
    for column in model.encoding.columns:
        values = rows.column(column.name)
        if isinstance(column, CategoricalColumn):
            empty = {pa.string(): "", pa.int64(): 0, pa.bool_(): False}[values.type]
            feed[f"{column.name}:missing"] = np.array(values.is_null())[:, None]
            plain = values.fill_null(empty).to_numpy(zero_copy_only=False)
            feed[column.name] = plain[:, None].astype(object if empty == "" else plain.dtype)
        elif isinstance(column, VectorColumn):
            null = [None] * (column.length or 0)
            feed[column.name] = np.array([each or null for each in values.to_pylist()], dtype=np.float64)
        else:
            feed[column.name] = np.array(values.cast(pa.float64(), safe=False).to_numpy())[:, None]
    return feed


def scored(model: LinearModel, rows: pa.Table) -> Matrix:
    found = session_of(model).run(list(prediction_names(model)), feed_of(model, rows))
    return np.concatenate(found, axis=1)


@given(cases())
@settings(max_examples=100)
def test_it_predicts_as_we_do(case: Case) -> None:
    assert_as_ours(scored(case.model, case.table), case)


def test_which_levels_are_missing_may_be_left_out() -> None:
    model = model_of(NumericColumn("x"), CategoricalColumn("c", ("a", "b")))
    session = session_of(model)
    assert {one.name for one in session.get_inputs()} == {"x", "c"}
    assert {one.name for one in session.get_overridable_initializers()} == {"c:missing"}
    inputs = {"x": np.array([[1.0], [2.0]]), "c": np.array([["a"], ["b"]], dtype=object)}
    (found,) = session.run(None, inputs)
    np.testing.assert_allclose(
        found[:, 0], model.predict(pa.table({"x": [1.0, 2.0], "c": ["a", "b"]})), rtol=1e-14
    )


def test_it_says_what_it_is_of() -> None:
    about = session_of(model_of(NumericColumn("x"))).get_modelmeta()
    assert about.producer_name == "linreg_dist"
    assert about.custom_metadata_map["linreg_dist"] == '{"targets": ["y"], "missing": "drop"}'


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((), "has no column"),
        ((NumericColumn("prediction"),), "the names prediction would stand for two"),
        ((NumericColumn("7:value"),), "7:value"),
        ((CategoricalColumn("c", (1, 2**63)),), "beyond int64"),
    ],
)
def test_what_cannot_be_written_is_refused(columns: tuple[ColumnKind, ...], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        ONNX.files(model_of(*columns))
