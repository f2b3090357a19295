from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from benchmarks.problems import PROBLEMS, TARGET, Dataset, Problem, materialise


def table_of(dataset: Dataset) -> pa.Table:
    return ds.dataset([str(file) for file in dataset.files]).to_table()


def digests(dataset: Dataset) -> list[str]:
    return [hashlib.sha256(file.read_bytes()).hexdigest() for file in dataset.files]


def test_the_same_problem_gives_the_same_bytes(dataset: Dataset, tmp_path: Path) -> None:
    again = materialise(dataset.problem, tmp_path)
    assert digests(again) == digests(dataset)
    assert again.optimum[1] == dataset.optimum[1]


def test_another_seed_gives_other_rows(dataset: Dataset, tmp_path: Path) -> None:
    other = materialise(replace(dataset.problem, seed=1), tmp_path)
    assert set(digests(other)).isdisjoint(digests(dataset))


def test_files_have_the_stated_geometry(dataset: Dataset) -> None:
    problem = dataset.problem
    assert len(dataset.files) == problem.num_files
    metadata = pq.read_metadata(dataset.files[0])
    assert metadata.num_rows == problem.num_rows // problem.num_files
    assert metadata.row_group(0).num_rows == problem.row_group_rows
    assert metadata.row_group(0).column(0).compression == "SNAPPY"
    schema = pq.read_schema(dataset.files[0])
    assert schema.names == [*problem.features, TARGET]
    assert all(field.nullable and field.type == pa.float32() for field in schema)


def test_rows_that_do_not_divide_evenly_are_all_written(tmp_path: Path) -> None:
    made = materialise(Problem("odd", 10_007, 3, row_group_rows=999), tmp_path)
    assert table_of(made).num_rows == 10_007


def test_the_stored_optimum_is_least_squares_over_all_rows(dataset: Dataset) -> None:
    table = table_of(dataset)
    x = np.column_stack([table[name].to_numpy() for name in dataset.problem.features]).astype(np.float64)
    y = table[TARGET].to_numpy().astype(np.float64)
    design = np.column_stack([np.ones(len(x)), x])
    best, residual, _, _ = np.linalg.lstsq(design, y, rcond=None)
    found, mse = dataset.optimum
    np.testing.assert_allclose(found, best, rtol=1e-8)
    assert mse == pytest.approx(residual[0] / len(y), rel=1e-10)
    off = best + np.linspace(0.01, 0.02, len(best))
    loss = float(np.mean((y - design @ off) ** 2))
    assert dataset.gap(off[1:], off[0]) == pytest.approx(loss - mse, rel=1e-6)


def test_neighbouring_features_are_as_correlated_as_stated(tmp_path: Path) -> None:
    made = materialise(Problem("c", 20_000, 4, correlation=0.9), tmp_path)
    table = table_of(made)
    x = np.column_stack([table[f"x{i}"].to_numpy() for i in range(4)])
    correlations = np.corrcoef(x.T)
    assert correlations[2, 3] == pytest.approx(0.9, abs=0.02)
    assert correlations[1, 3] == pytest.approx(0.81, abs=0.02)
    np.testing.assert_allclose(x.std(axis=0), 1.0, atol=0.03)


def test_a_complete_data_set_is_reused_and_an_interrupted_one_written_again(tmp_path: Path) -> None:
    problem = Problem("r", 8_000, 2, row_group_rows=1_000)
    first = materialise(problem, tmp_path)
    written = first.files[0].stat().st_mtime_ns
    assert materialise(problem, tmp_path).files[0].stat().st_mtime_ns == written
    (first.path / "problem.json").unlink()
    first.files[3].unlink()
    again = materialise(problem, tmp_path)
    assert len(again.files) == 8
    assert again.files[0].stat().st_mtime_ns != written


def test_scaling_shrinks_rows_and_row_groups_and_keeps_the_columns() -> None:
    small = PROBLEMS["W32"].scaled(0.01)
    assert (small.num_rows, small.num_features, small.row_group_rows) == (80_000, 32, 1_250)
    assert PROBLEMS["W32"].scaled(1.0) == PROBLEMS["W32"]
