"""Models and rows that are awkward for other programs: nulls, unknown levels, odd names, large offsets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import assume
from hypothesis import strategies as st

from linreg_dist.data.design.categorical import CategoricalColumn
from linreg_dist.data.design.encoding import Encoding
from linreg_dist.data.design.kind import ColumnKind
from linreg_dist.data.design.numeric import NumericColumn
from linreg_dist.data.design.vector import VectorColumn
from linreg_dist.errors import DataError
from linreg_dist.model.linear_model import LinearModel, Matrix

NAMES = [
    "x", "X", "x 1", 'quo"ted', "sel`ect", "select", "bra[ck]et", "it's", "back\\slash", "ümläut", "a.b",
    "%s", "{y}", "-- c", "a;b", "日本", "new\nline", "1st",
]  # fmt: skip
TEXTS = [
    "",
    "a",
    "A",
    "it's",
    'q"q',
    "b\\n",
    "line\nbreak",
    "ü",
    "日本語",
    "NULL",
    "None",
    "nan",
    "a ",
    " a",
    "1",
]
NUMBERS = [0.0, -0.0, 1.0, -1e5, 123456.789, 1e-9, 1e12, float(2**53), math.nan, math.inf, -math.inf, None]

_finite = st.floats(-1e6, 1e6)
_fills = st.floats(-1e5, 1e5)


@dataclass(frozen=True)
class Case:
    """A model, and rows that a program may be asked to score with it."""

    model: LinearModel
    table: pa.Table

    def expected(self) -> Matrix:
        """Return (N, K) what `predict` says of each row alone; NaN for one that it refuses."""
        found = []
        for row in range(self.table.num_rows):
            try:
                found.append(np.atleast_2d(self.model.predict(self.table.slice(row, 1)).reshape(1, -1)))
            except DataError:
                found.append(np.full((1, len(self.model.targets)), np.nan))
        return np.concatenate(found)


@st.composite
def _number(draw: st.DrawFn, name: str, rows: int, fills: bool) -> tuple[ColumnKind, pa.Array]:
    kind = draw(st.sampled_from(["float", "integer", "boolean"]))
    values: Any
    if kind == "float":
        values = pa.array(draw(_list(st.one_of(st.sampled_from(NUMBERS), _finite), rows)), pa.float64())
    elif kind == "integer":
        values = pa.array(draw(_list(st.one_of(st.none(), st.integers(-(2**62), 2**62)), rows)), pa.int64())
    else:
        values = pa.array(draw(_list(st.sampled_from([None, True, False]), rows)), pa.bool_())
    return NumericColumn(name, draw(_fills) if fills else None), values


@st.composite
def _list_of_numbers(draw: st.DrawFn, name: str, rows: int, fills: bool) -> tuple[ColumnKind, pa.Array]:
    length = draw(st.integers(1, 4))
    one = st.lists(st.one_of(st.sampled_from(NUMBERS), _finite), min_size=length, max_size=length)
    fill = tuple(draw(_list(_fills, length))) if fills else None
    values = pa.array(draw(_list(st.one_of(st.none(), one), rows)), pa.list_(pa.float64()))
    return VectorColumn(name, length, fill), values


@st.composite
def _levels(draw: st.DrawFn, name: str, rows: int, fills: bool) -> tuple[ColumnKind, pa.Array]:
    type_, all_levels = draw(
        st.sampled_from(
            [
                (pa.string(), TEXTS),
                (pa.int64(), [0, 1, -5, 7, 2**53, 2**53 + 1, -(2**63), 2**63 - 1]),
                (pa.bool_(), [True, False]),
            ]
        )
    )
    levels = tuple(draw(st.lists(st.sampled_from(all_levels), min_size=1, max_size=5, unique=True)))
    fill = tuple(draw(_list(st.floats(0, 1), len(levels) - 1))) if fills else None
    values = pa.array(draw(_list(st.one_of(st.none(), st.sampled_from(all_levels)), rows)), type_)
    return CategoricalColumn(name, levels, draw(st.sampled_from(["error", "zero"])), fill), values


def _list(of: st.SearchStrategy[Any], number: int) -> st.SearchStrategy[list[Any]]:
    return st.lists(of, min_size=number, max_size=number)


@st.composite
def cases(draw: st.DrawFn, *, lists: bool = True) -> Case:
    """Return a model of up to four columns and up to two targets, with some rows."""
    missing = draw(st.sampled_from(["error", "drop", "mean"]))
    rows = draw(st.integers(1, 6))
    # SQL takes names that differ in case alone for one.
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique_by=str.lower))
    kinds = [_number, _levels, *([_list_of_numbers] if lists else [])]
    made = [draw(draw(st.sampled_from(kinds))(name, rows, missing == "mean")) for name in names]
    encoding = Encoding(tuple(column for column, _ in made))
    assume(encoding.num_encoded)  # without a column even a row without a value has the intercept
    targets = ("y", 'y"2')[: draw(st.integers(1, 2))]
    coef = [draw(_list(_finite, encoding.num_encoded)) for _ in targets]
    offsets = draw(_list(st.sampled_from([0.0, 1e5, -123456.789]), len(targets)))
    model = LinearModel(
        np.array(coef, dtype=np.float64).reshape(len(targets), encoding.num_encoded),
        np.array(offsets),
        encoding,
        targets,
        missing,
    )
    return Case(model, pa.table(dict(zip(names, (values for _, values in made), strict=True))))


def assert_as_ours(found: Matrix, case: Case) -> None:
    """Compare predictions of another program (N, K) with ours: to 1e-9 of the largest term of a row."""
    expected = case.expected()
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    scale = np.maximum(np.abs(expected), _magnitude(case))
    usable = np.isfinite(expected)
    np.testing.assert_array_less(np.abs(found - expected)[usable], 1e-9 * scale[usable])


def _magnitude(case: Case) -> Matrix:
    """Return Σ |coefficient · value| of each row, (N, K): what rounding errors are measured by."""
    model = case.model
    plain = LinearModel(
        np.abs(model.coef_KD), np.abs(model.intercept_K) + 1.0, model.encoding, model.targets, "drop"
    )
    rows = []
    for row in range(case.table.num_rows):
        try:
            x = model.design_matrix(case.table.slice(row, 1))
            rows.append(np.abs(x) @ plain.coef_KD.T + plain.intercept_K)
        except DataError:
            rows.append(np.full((1, len(model.targets)), np.nan))
    return np.concatenate(rows)


def model_of(*columns: ColumnKind, missing: str = "drop") -> LinearModel:
    """Return a model of one target with these columns, random coefficients and an intercept of 1e5."""
    encoding = Encoding(columns)
    coef = np.random.default_rng(0).normal(size=(1, encoding.num_encoded))
    return LinearModel(coef, np.array([1e5]), encoding, ("y",), missing)  # type: ignore[arg-type]
