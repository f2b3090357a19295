"""Whole runs on the NIST problems keep the digits, and the answer does not depend on how rows are dealt."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.solvers.problems import Train, features_of, make_problem
from tests.stats.nist_problems import REFERENCES, Reference, exact_solution


@pytest.mark.parametrize("reference", REFERENCES, ids=lambda reference: reference.name)
def test_a_run_has_the_digits_of_a_qr(tmp_path: Path, train_here: Train, reference: Reference) -> None:
    x, y = reference.arrays()
    names = [f"x{j}" for j in range(x.shape[1])]
    table = pa.table({name: x[:, j] for j, name in enumerate(names)} | {"y": y[:, 0]})
    pq.write_table(table, tmp_path / "d.parquet", row_group_size=7)
    run = train_here(
        tmp_path / "d.parquet",
        data={"features": names},
        model={"fit_intercept": reference.fit_intercept},
        solver={"name": "exact"},
    )
    exact = np.array([float(value) for value in exact_solution(reference)])
    found = np.array([run.model.intercept_, *run.model.coef_] if reference.fit_intercept else run.model.coef_)
    design = np.column_stack([np.ones(len(x)), x]) if reference.fit_intercept else x
    by_qr = np.linalg.lstsq(design, y[:, 0], rcond=None)[0]

    def error(values: np.ndarray) -> float:
        return float(np.abs(values - exact).max() / np.abs(exact).max())

    assert error(found) <= max(10 * error(by_qr), 1e-13)


# Filip's and Wampler2's powers are rounded to float64 in the file, which moves the exact answer itself.
CERTIFIED_DIGITS = {
    "Filip": 7.4,
    "Longley": 13.0,
    "Wampler1": 13.0,
    "Wampler2": 12.8,
    "Wampler3": 13.0,
    "Wampler4": 13.0,
    "Wampler5": 13.0,
}


@pytest.mark.parametrize(
    "reference", [r for r in REFERENCES if r.name in CERTIFIED_DIGITS], ids=lambda r: r.name
)
def test_an_ill_conditioned_problem_has_the_digits_of_exact_arithmetic(
    tmp_path: Path, train_here: Train, reference: Reference
) -> None:
    x, y = reference.arrays()
    names = [f"x{j}" for j in range(x.shape[1])]
    table = pa.table({name: x[:, j] for j, name in enumerate(names)} | {"y": y[:, 0]})
    pq.write_table(table, tmp_path / "d.parquet", row_group_size=7)
    run = train_here(tmp_path / "d.parquet", data={"features": names}, solver={"name": "exact"})
    assert run.result["solver"]["method"] == "double_double"
    found = np.array([run.model.intercept_, *run.model.coef_])
    error = np.abs(found - reference.certified) / np.abs(reference.certified)
    assert -np.log10(error.max().clip(1e-16)) >= CERTIFIED_DIGITS[reference.name]
    rows_of_float64 = Reference(
        reference.name,
        "",
        [[Fraction(float(value)) for value in row] for row in x],
        [Fraction(float(value)) for value in y[:, 0]],
        True,
        [],
        0.0,
    )
    np.testing.assert_allclose(found, [float(v) for v in exact_solution(rows_of_float64)], rtol=2e-16)
    again = train_here(
        tmp_path / "d.parquet",
        data={"features": names},
        solver={"name": "exact"},
        scaling={"virtual_shards": 3},
        name="other-lanes",
    )
    np.testing.assert_array_equal(again.model.coef_, run.model.coef_)


def _exact(rows: np.ndarray, y: np.ndarray, weight: np.ndarray, *, fit_intercept: bool) -> list[float]:
    """Solve in rational numbers; a row of weight 2 is two rows."""
    taken = np.repeat(np.arange(len(y)), weight)
    x = [[Fraction(float(value)) for value in rows[i]] for i in taken]
    targets = [Fraction(float(y[i])) for i in taken]
    return [float(v) for v in exact_solution(Reference("", "", x, targets, fit_intercept, [], 0.0))]


POWERS = [f"x{power}" for power in range(1, 6)]
KINDS: dict[str, dict[str, Any]] = {
    "several targets": {"data": {"target": ["y", "z"], "features": POWERS}},
    "weights": {"data": {"features": POWERS, "weight": "w"}},
    "a category": {"data": {"features": [*POWERS, "kind"]}},
    "no intercept": {"data": {"features": POWERS}, "model": {"fit_intercept": False}},
    "robust standard errors": {"data": {"features": POWERS}, "model": {"covariance": "HC3"}},
    "standard errors by cluster": {
        "data": {"features": POWERS, "cluster": "firm"},
        "model": {"covariance": "cluster"},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_fit_has_the_digits_of_exact_arithmetic(
    tmp_path: Path, train_here: Train, kind: str
) -> None:
    rng = np.random.default_rng(5)
    x = np.arange(40.0)
    powers = np.column_stack([x**power for power in range(1, 6)])
    weight = rng.integers(1, 4, 40)
    groups = rng.integers(0, 3, 40)
    y = powers.sum(1) + rng.integers(-2000, 2000, 40)
    z = powers @ np.array([1.0, -1.0, 0.5, 0.25, -0.125]) + rng.integers(-90, 90, 40)
    columns = {name: powers[:, j] for j, name in enumerate(POWERS)} | {"y": y, "z": z}
    columns |= {"w": weight.astype(float), "kind": np.array(["a", "b", "c"])[groups], "firm": x // 4}
    pq.write_table(pa.table(columns), tmp_path / "d.parquet", row_group_size=9)
    settings = dict(KINDS[kind])
    run = train_here(tmp_path / "d.parquet", solver={"name": "exact"}, **settings)
    assert run.result["solver"]["method"] == "double_double"
    rows, used = powers, weight if kind == "weights" else np.ones(40, dtype=int)
    if kind == "a category":
        rows = np.column_stack([powers, groups == 1, groups == 2])
    has_ones = kind != "no intercept"
    targets = [y, z] if kind == "several targets" else [y]
    for number, target in enumerate(targets):
        coef = np.atleast_2d(run.model.coef_)[number]
        found = [*np.atleast_1d(run.model.intercept_)[[number]], *coef] if has_ones else coef
        np.testing.assert_allclose(found, _exact(rows, target, used, fit_intercept=has_ones), rtol=4e-16)


def test_a_well_conditioned_problem_is_read_once(tmp_path: Path, train_here: Train) -> None:
    problem = make_problem(tmp_path / "d", num_rows=500, mean=0.0)
    run = train_here(problem.path, data={"features": features_of(problem)}, solver={"name": "exact"})
    assert (run.result["solver"]["method"], run.result["solver"]["epochs"]) == ("gram", 1)


@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_the_coefficients_are_the_same_for_any_number_of_lanes(
    tmp_path: Path, train_here: Train, mean: float
) -> None:
    problem = make_problem(tmp_path / "d", num_rows=2700, mean=mean)
    runs = [
        train_here(
            problem.path,
            data={"features": features_of(problem)},
            scaling={"virtual_shards": lanes},
            name=f"lanes-{lanes}",
        )
        for lanes in (1, 2, 3, 7)
    ]
    tolerance = 1e-12 if mean == 0.0 else 1e-9
    for run in runs[1:]:
        np.testing.assert_allclose(run.model.coef_, runs[0].model.coef_, rtol=tolerance, atol=tolerance)
        assert run.result["rows"] == runs[0].result["rows"]
    expected = np.linalg.lstsq(problem.with_ones - [0, *[mean] * 4], problem.y, rcond=None)[0]
    np.testing.assert_allclose(runs[0].model.coef_, expected[1:], rtol=1e-9, atol=1e-9)
