from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.problems import Dataset, Problem, materialise


@pytest.fixture(scope="session")
def data_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("benchmark-data")


@pytest.fixture(scope="session")
def dataset(data_root: Path) -> Dataset:
    """20,000 rows of 8 features."""
    return materialise(Problem("W8", 20_000, 8, row_group_rows=1_000), data_root)
