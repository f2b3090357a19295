"""MLflow folders, loaded and asked by mlflow.pyfunc."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings

from linreg_dist.data.design.categorical import CategoricalColumn
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.data.design.vector import VectorColumn
from linreg_dist.errors import DataError
from linreg_dist.export import FORMATS, is_export
from linreg_dist.export.mlflow import example
from linreg_dist.model.linear_model import LinearModel, Matrix
from linreg_dist.verbs.export import export
from tests.export.models import Case, assert_as_ours, cases, model_of

MLFLOW = FORMATS["mlflow"]
pytestmark = pytest.mark.slow  # importing MLflow takes seconds, and it writes and checks a folder a model


def loaded(model: LinearModel, folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow's own
        import mlflow.pyfunc

        export(model, "mlflow", folder)
        return mlflow.pyfunc.load_model(str(folder))


def frame_of(rows: pa.Table) -> pd.DataFrame:
    return pd.DataFrame(
        {
            name: pd.Series([_array(value) for value in rows.column(name).to_pylist()], dtype=object)
            for name in rows.column_names
        }
    )


def _array(value: Any) -> Any:
    """Return a list as an array of numbers, whose type says so when it holds none."""
    return np.array(value, dtype=np.float64) if isinstance(value, list) else value


def scored(model: LinearModel, rows: pa.Table) -> Matrix:
    with TemporaryDirectory() as scratch:
        asked = loaded(model, Path(scratch) / "model")
    found = []
    for row in range(rows.num_rows):
        try:
            found.append(asked.predict(frame_of(rows.slice(row, 1))).to_numpy())
        except DataError:
            found.append(np.full((1, len(model.targets)), np.nan))
    return np.concatenate(found)


@given(cases())
@settings(max_examples=15)
def test_it_predicts_as_we_do(case: Case) -> None:
    assert_as_ours(scored(case.model, case.table), case)


def test_it_has_a_signature_an_example_and_no_pickle(tmp_path: Path) -> None:
    model = model_of(NumericColumn("x"), VectorColumn("e", 2), CategoricalColumn("c", ("a", "b")))
    asked = loaded(model, tmp_path / "model")
    assert asked.metadata.signature.inputs.input_names() == ["x", "e", "c"]
    assert asked.metadata.signature.outputs.input_names() == ["prediction"]
    assert asked.input_example.equals(example(model))
    np.testing.assert_allclose(asked.predict(asked.input_example)["prediction"], 1e5)
    names = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert all(is_export(f"mlflow/{name.removeprefix('model/')}") for name in names)
    about = yaml.safe_load((tmp_path / "model" / "MLmodel").read_text())
    assert about["flavors"]["python_function"]["loader_module"] == "linreg_dist.export.mlflow"
    requirements = (tmp_path / "model" / "requirements.txt").read_text()
    assert "linreg-dist==" in requirements
    assert "cloudpickle" not in requirements


def test_it_takes_what_pandas_makes_of_numbers(tmp_path: Path) -> None:
    model = model_of(
        NumericColumn("n", 1.0), NumericColumn("b", 0.5), CategoricalColumn("i", (1, 2), "zero", (0.5,)),
        missing="mean",
    )  # fmt: skip
    asked = loaded(model, tmp_path / "model")
    rows = pd.DataFrame({"n": [2**53, 1], "b": [True, False], "i": [1.0, None]}, index=[7, 3])
    found = asked.predict(rows)
    expected = model.predict(pa.table({"n": [2**53, 1], "b": [True, False], "i": pa.array([1, None])}))
    np.testing.assert_allclose(found["prediction"], expected, rtol=1e-12)
    assert list(found.index) == [7, 3]
