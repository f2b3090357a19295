"""The comparisons with a bare scan run to their end and print a line for each contender."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from benchmarks import exact_pass, first_epoch

pytestmark = pytest.mark.slow  # processes that scan, and the compiled kernels


@pytest.mark.parametrize(("comparison", "lines"), [(exact_pass, 4), (first_epoch, 3)])
def test_it_prints_medians(
    comparison,
    lines: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    options = ["--problems", "W8", "--scale", "0.02", "--rounds", "1", "--root", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["benchmark", *options])
    monkeypatch.setenv("LINREG_DIST_READERS", "auto")  # which the benchmark sets, and leaves
    comparison.main()
    _, *table = [line for line in capsys.readouterr().out.splitlines() if " | " in line]
    assert len(table) == lines
    for line in table[:3]:
        problem, _, *numbers = line.split(" | ")
        assert problem == "W8"
        assert all(re.fullmatch(r"\d+\.\d+", number) and float(number) >= 0 for number in numbers)
