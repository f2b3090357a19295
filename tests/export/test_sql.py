"""SQL expressions, executed in DuckDB."""

from __future__ import annotations

import duckdb
import numpy as np
import pyarrow as pa
import pytest
import sqlglot
from hypothesis import given, settings

from linreg_dist.data.design.categorical import CategoricalColumn
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.data.design.vector import VectorColumn
from linreg_dist.errors import SpecError
from linreg_dist.export import FORMATS
from linreg_dist.export.sql import expressions
from linreg_dist.export.terms import prediction_names
from linreg_dist.model.linear_model import LinearModel, Matrix
from tests.export.models import Case, assert_as_ours, cases, model_of

SQL = FORMATS["sql"]
CONNECTION = duckdb.connect()  # which keeps the order of rows


def scored(model: LinearModel, rows: pa.Table) -> Matrix:
    text = SQL.files(model)[""].decode()
    found = CONNECTION.from_arrow(rows).project(text).to_arrow_table()
    columns = [found.column(name).to_numpy(zero_copy_only=False) for name in prediction_names(model)]
    return np.stack(columns, axis=1).astype(np.float64)


@given(cases())
@settings(max_examples=100)
def test_it_predicts_as_we_do(case: Case) -> None:
    assert_as_ours(scored(case.model, case.table), case)


def test_thousands_of_features_are_no_thousands_of_levels_of_nesting() -> None:
    model = model_of(VectorColumn("e", 1100), CategoricalColumn("c", tuple(map(str, range(1100)))))
    x = np.random.default_rng(1).normal(size=(2, 1100))
    rows = pa.table({"e": list(x), "c": ["0", "1099"]})
    np.testing.assert_allclose(scored(model, rows)[:, 0], model.predict(rows), rtol=1e-12)


def test_a_list_of_another_length_is_null() -> None:
    model = model_of(VectorColumn("e", 2, (1.0, 1.0)), missing="mean")
    rows = pa.table({"e": [[1.0, 2.0], [1.0], [1.0, 2.0, 3.0], None]})
    assert np.isnan(scored(model, rows)[:, 0]).tolist() == [False, True, True, False]


@pytest.mark.parametrize("dialect", ["postgres", "bigquery", "snowflake", "spark", "trino", "clickhouse"])
def test_each_dialect_reads_what_is_written_in_it(dialect: str) -> None:
    model = model_of(NumericColumn('a"b'), CategoricalColumn("c", ("it's", "b\\n")), VectorColumn("e", 2))
    (text,) = expressions(model, dialect)
    read = sqlglot.parse_one(f"SELECT {text}", dialect=dialect)
    assert {column.name for column in read.find_all(sqlglot.exp.Column)} == {'a"b', "c", "e"}
    assert {literal.this for literal in read.find_all(sqlglot.exp.Literal) if literal.is_string} == {
        "it's",
        "b\\n",
    }


def test_postgres_has_its_own_name_for_double() -> None:
    assert "DOUBLE PRECISION" in expressions(model_of(NumericColumn("x")), "postgres")[0]


@pytest.mark.parametrize(
    ("column", "dialect", "message"),
    [
        (NumericColumn("x"), "oracel", "expected one of .*duckdb"),
        (VectorColumn("e", 2), "mysql", "mysql, which has no lists: its columns e "),
        (CategoricalColumn("c", ("a", "b\0")), "duckdb", r"U\+0000"),
        (CategoricalColumn("c", ("a", 1)), "duckdb", "'c' are texts and numbers"),
    ],
)
def test_what_cannot_be_written_is_refused(column: NumericColumn, dialect: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        SQL.files(model_of(column), dialect)
