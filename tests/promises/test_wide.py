"""Thousands of columns: the exact solver up to 4,096, L-BFGS beyond, both to the digits of numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.solvers.problems import Train

pytestmark = pytest.mark.slow


def _write(folder: Path, columns: dict[str, np.ndarray], num_files: int = 2) -> None:
    folder.mkdir()
    num_rows = len(columns["y"])
    for number in range(num_files):
        part = slice(number * num_rows // num_files, (number + 1) * num_rows // num_files)
        table = pa.table({name: values[part] for name, values in columns.items()})
        pq.write_table(table, folder / f"part-{number}.parquet", row_group_size=num_rows // 4)


def test_two_thousand_columns_with_a_long_list_of_levels(tmp_path: Path, train_here: Train) -> None:
    rng = np.random.default_rng(0)
    num_rows, num_numeric, num_levels = 6_000, 1_500, 500
    x = rng.standard_normal((num_numeric, num_rows)).astype(np.float32)
    level = rng.permutation(np.arange(num_rows) % num_levels)
    y = rng.standard_normal(num_numeric) @ x + rng.standard_normal(num_levels)[level]
    y = (y + 3 * rng.standard_normal(num_rows)).astype(np.float32)
    columns = {f"x{j}": x[j] for j in range(num_numeric)}
    _write(tmp_path / "d", {**columns, "g": np.array([f"g{k:03d}" for k in level]), "y": y})
    run = train_here(tmp_path / "d")
    assert run.result["solver"]["name"] == "exact"
    assert run.result["solver"]["rank"] == num_numeric + num_levels - 1
    dummies = (level[:, None] == np.arange(1, num_levels)).astype(float)
    design = np.column_stack([np.ones(num_rows), x.T, dummies])
    inverse = np.linalg.inv(design.T @ design)
    expected = inverse @ (design.T @ y.astype(float))
    found = np.array([run.model.intercept_, *run.model.coef_])
    np.testing.assert_allclose(found, expected, atol=1e-9 * np.abs(expected).max())
    residual = y - design @ expected
    covariance = inverse * (residual @ residual / (num_rows - len(expected)))
    np.testing.assert_allclose(np.diag(run.model.cov_params()), np.diag(covariance), rtol=1e-8)


def test_more_than_4096_columns_go_to_lbfgs(tmp_path: Path, train_here: Train) -> None:
    rng = np.random.default_rng(1)
    num_rows, num_columns, l2 = 1_200, 4_200, 0.5
    x = rng.standard_normal((num_columns, num_rows)).astype(np.float32)
    y = (rng.standard_normal(num_columns) @ x / 30 + rng.standard_normal(num_rows)).astype(np.float32)
    _write(tmp_path / "d", {**{f"x{j}": x[j] for j in range(num_columns)}, "y": y})
    run = train_here(tmp_path / "d", model={"l2": l2}, solver={"epochs": 10})
    assert run.result["solver"]["name"] == "lbfgs"
    assert "more than 4,096 columns" in run.result["solver"]["reason"]
    z = x.T.astype(float)
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    # (Z'Z/n + l2)⁻¹Z'y/n = Z'(ZZ' + n·l2)⁻¹y: a matrix as large as there are rows.
    dual = np.linalg.solve(z @ z.T + num_rows * l2 * np.eye(num_rows), y.astype(float) - y.mean(dtype=float))
    expected = z.T @ dual / x.astype(float).std(axis=1)
    np.testing.assert_allclose(run.model.coef_, expected, atol=1e-4 * np.abs(expected).max())
