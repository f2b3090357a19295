"""The small data set on which the parts are timed: ``pytest benchmarks --benchmark-enable``."""

from __future__ import annotations

import pytest

from benchmarks.parts import Parts
from benchmarks.problems import Problem, materialise


@pytest.fixture(scope="session")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    problem = Problem("W32part", 250_000, 32, num_files=2)
    return Parts.of(materialise(problem, tmp_path_factory.mktemp("data")))
