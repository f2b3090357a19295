"""The data sets: made from a seed, kept on disk, with the least loss any linear model can reach beside them.

While the rows are written their second moments are summed in float64. From these follow the optimum and,
later, the exact loss of any coefficients over all rows, without reading the data again: every contender is
judged on the same number.

Shape suffixes: N rows, D features, Z = 1 + D + 1 (constant, features, target).
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

DATA_ROOT = Path(__file__).parent / "data"
TARGET = "y"
_QR_ROWS = 16_384  # of a slice in the reference QR: 32 MiB at 256 features
_MAX_DIGITS = 16.0  # what float64 holds
_FORMAT = 1  # raise it when the same fields would give other files

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """One data set: y = 1.5 + x·beta + noise, all columns nullable float32 without nulls, snappy.

    Attributes:
        name: what it is called in results.
        num_rows, num_features, num_files, row_group_rows: its geometry.
        noise: standard deviation of what no model can explain.
        correlation: of neighbouring features; 0 makes them independent. Mean 0 and variance 1 in any case.
        dictionary: pyarrow's own default. Row groups of 125,000 random floats then come out
            dictionary-encoded: files half as large again as plain pages, scanned half as fast.
        seed: another seed, another data set.
    """

    name: str
    num_rows: int
    num_features: int
    num_files: int = 8
    row_group_rows: int = 125_000
    noise: float = 1.0
    correlation: float = 0.0
    dictionary: bool = True
    seed: int = 0

    def scaled(self, scale: float) -> Problem:
        """Return the problem with ``scale`` times the rows and row groups smaller in proportion."""
        if scale == 1.0:
            return self
        rows_per_file = max(1, round(self.num_rows * scale / self.num_files))
        row_group_rows = max(1_000, round(self.row_group_rows * scale))
        return replace(self, num_rows=rows_per_file * self.num_files, row_group_rows=row_group_rows)

    @property
    def features(self) -> list[str]:
        """The names of the feature columns."""
        return [f"x{i}" for i in range(self.num_features)]

    @property
    def folder_name(self) -> str:
        """A folder per size, so that scales do not overwrite each other."""
        return f"{self.name}-{self.num_rows}"


PROBLEMS: dict[str, Problem] = {
    problem.name: problem
    for problem in (
        Problem("W32", 8_000_000, 32),
        Problem("W8", 16_000_000, 8),
        Problem("W256", 1_000_000, 256),
        Problem("W32plain", 8_000_000, 32, dictionary=False),
        Problem("C32", 8_000_000, 32, correlation=0.9),
    )
}


@dataclass(frozen=True)
class Dataset:
    """A problem on disk: ``path/parts/*.parquet`` and, beside them, what is known about the optimum."""

    problem: Problem
    path: Path

    @property
    def parts(self) -> Path:
        """The folder to train on."""
        return self.path / "parts"

    @property
    def files(self) -> list[Path]:
        """Its Parquet files in order."""
        return sorted(self.parts.glob("*.parquet"))

    @property
    def nbytes(self) -> int:
        """Bytes of the files."""
        return sum(file.stat().st_size for file in self.files)

    @cached_property
    def _moments_ZZ(self) -> Vector:
        moments: Vector = np.load(self.path / "moments.npy", allow_pickle=False)
        return moments

    @cached_property
    def optimum(self) -> tuple[Vector, float]:
        """The least-squares solution ``(intercept, coefficients…)`` and its mean squared error."""
        return solve_moments(self._moments_ZZ)

    @cached_property
    def reference(self) -> Vector:
        """``(intercept, coefficients…)`` by a float64 QR of the rows themselves, which squares no condition.

        Computed once, a row group at a time, and kept beside the files.
        """
        kept = self.path / "reference.npy"
        if not kept.exists():
            unfinished = self.path / "reference.tmp.npy"
            np.save(unfinished, _solve_by_qr(self.files, self.problem.features))
            unfinished.replace(kept)
        reference: Vector = np.load(kept, allow_pickle=False)
        return reference

    def digits(self, coef: Sequence[float], intercept: float) -> float:
        """Return how many decimal digits of all coefficients are right: the worst error over the largest."""
        found = np.concatenate([[intercept], np.asarray(coef, dtype=np.float64)])
        error = float(np.abs(found - self.reference).max() / np.abs(self.reference).max())
        return _MAX_DIGITS if error == 0.0 else min(_MAX_DIGITS, max(0.0, -math.log10(error)))

    def gap(self, coef: Sequence[float], intercept: float) -> float:
        """Return by how much the mean squared error of a model exceeds the optimum, over all rows.

        ``(t - t*)' A (t - t*) / n`` with A the moments of (1, x): unlike a difference of two losses it keeps
        its digits near zero.
        """
        best, _ = self.optimum
        off = np.concatenate([[intercept], np.asarray(coef, dtype=np.float64)]) - best
        gram = self._moments_ZZ[:-1, :-1]
        return float(off @ gram @ off / gram[0, 0])

    @classmethod
    def open(cls, path: Path) -> Dataset:
        """Open a complete data set.

        Raises:
            FileNotFoundError: it was never finished.
        """
        document = json.loads((path / "problem.json").read_text())
        return cls(Problem(**document["problem"]), path)


def materialise(problem: Problem, root: Path = DATA_ROOT) -> Dataset:
    """Return the problem's files, written now unless a complete set of just this problem lies there."""
    path = root / problem.folder_name
    described = {"format": _FORMAT, "problem": asdict(problem)}
    marker = path / "problem.json"
    if marker.exists() and json.loads(marker.read_text()) == described:
        return Dataset(problem, path)
    shutil.rmtree(path, ignore_errors=True)
    (path / "parts").mkdir(parents=True)
    with ThreadPoolExecutor(min(problem.num_files, len(os.sched_getaffinity(0)))) as pool:
        moments = list(pool.map(lambda number: _write_file(problem, path, number), range(problem.num_files)))
    np.save(path / "moments.npy", np.sum(moments, axis=0))
    unfinished = path / "problem.json.tmp"
    unfinished.write_text(json.dumps(described, indent=2) + "\n")
    unfinished.replace(marker)  # last: its presence says that all the rest is there
    return Dataset(problem, path)


def _solve_by_qr(files: Sequence[Path], features: Sequence[str]) -> Vector:
    """Return the least-squares solution of all rows from the R factors of their row groups (TSQR)."""
    import pyarrow.parquet as pq

    r_ZZ: Vector = np.zeros((0, len(features) + 2))
    for file in files:
        with pq.ParquetFile(file, pre_buffer=False) as parquet:
            for ordinal in range(parquet.num_row_groups):
                table = parquet.read_row_group(ordinal, columns=[*features, TARGET], use_threads=False)
                for start in range(0, table.num_rows, _QR_ROWS):
                    part = table.slice(start, _QR_ROWS)
                    z_NZ = np.ones((part.num_rows, len(features) + 2))
                    for place, name in enumerate((*features, TARGET), start=1):
                        z_NZ[:, place] = part.column(name).to_numpy()
                    r_ZZ = np.linalg.qr(np.concatenate([r_ZZ, z_NZ]), mode="r")
    solution: Vector = np.linalg.solve(r_ZZ[:-1, :-1], r_ZZ[:-1, -1])
    return solution


def solve_moments(moments_ZZ: Vector) -> tuple[Vector, float]:
    """Return the least-squares solution and its mean squared error, from Σ z z' with z = (1, x, y)."""
    gram, cross, square = moments_ZZ[:-1, :-1], moments_ZZ[:-1, -1], moments_ZZ[-1, -1]
    best: Vector = np.linalg.lstsq(gram, cross, rcond=None)[0].astype(np.float64)
    return best, float((square - cross @ best) / gram[0, 0])


def _write_file(problem: Problem, path: Path, number: int) -> Vector:
    """Write one file, row group by row group; return the moments of its rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [*problem.features, TARGET]
    schema = pa.schema([pa.field(name, pa.float32()) for name in names])
    beta = np.random.default_rng([problem.seed, problem.num_features]).standard_normal(problem.num_features)
    rows = problem.num_rows // problem.num_files + (number < problem.num_rows % problem.num_files)
    moments = np.zeros((problem.num_features + 2, problem.num_features + 2))
    file = path / "parts" / f"part-{number:03}.parquet"
    with pq.ParquetWriter(file, schema, compression="snappy", use_dictionary=problem.dictionary) as writer:
        for ordinal, first in enumerate(range(0, rows, problem.row_group_rows)):
            size = min(problem.row_group_rows, rows - first)
            z = _rows(problem, beta, np.random.default_rng([problem.seed, number, ordinal]), size)
            moments += _moments(z)
            writer.write_table(pa.table([pa.array(column) for column in z], schema=schema))
    return moments


def _rows(
    problem: Problem, beta: Vector, generator: np.random.Generator, size: int
) -> npt.NDArray[np.float32]:
    """Return features and target as (D + 1, size): each column of the file is one contiguous row here."""
    z = np.empty((problem.num_features + 1, size), dtype=np.float32)
    x = z[:-1]
    generator.standard_normal(out=x, dtype=np.float32)
    if problem.correlation:
        fresh = np.float32((1.0 - problem.correlation**2) ** 0.5)
        for column in range(1, problem.num_features):
            x[column] *= fresh
            x[column] += np.float32(problem.correlation) * x[column - 1]
    z[-1] = beta.astype(np.float32) @ x
    z[-1] += np.float32(1.5)
    z[-1] += np.float32(problem.noise) * generator.standard_normal(size, dtype=np.float32)
    return z


def _moments(z: npt.NDArray[np.float32]) -> Any:
    """Return Σ z z' of (1, x, y), in float64, in slices so that the wide copy stays small."""
    total = np.zeros((z.shape[0] + 1, z.shape[0] + 1))
    for start in range(0, z.shape[1], 8_192):
        part = z[:, start : start + 8_192].astype(np.float64)
        part = np.concatenate([np.ones((1, part.shape[1])), part])
        total += part @ part.T
    return total
