"""What the suite promises of itself: it says what it did not test, and its quick part starts no cluster."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import LONGEST

ROOT = Path(__file__).parents[1]

TESTS = """
import pytest
from tests import clusters

def test_skipped():
    pytest.skip("no browser")

def test_starts_a_cluster():
    clusters.starting("a Ray")

@pytest.mark.slow
def test_starts_a_cluster_and_says_so():
    clusters.starting("a Ray")

def test_dear():
    import os
    while sum(os.times()[:2]) < DEAR_S + 5.0:
        pass
"""


def test_the_files_that_go_first_are_there_and_each_is_named_once() -> None:
    assert [name for name in LONGEST if not (ROOT / "tests" / name).exists()] == []
    assert len(set(LONGEST)) == len(LONGEST)


@pytest.mark.slow
def test_the_suite_counts_skips_finds_dear_tests_and_starts_no_cluster_unasked(tmp_path: Path) -> None:
    file = tmp_path / "test_few.py"
    file.write_text("import os\nDEAR_S = sum(os.times()[:2])\n" + TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.conftest",
        "-p",
        "no:cacheprovider",
        "-q",
        str(file),
    ]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}", f"--override-ini=pythonpath={ROOT}", "-o", "markers=slow"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 2 passed, 1 skipped" in done.stdout
    assert "a test that starts a Ray is slow: mark it so" in done.stdout
    assert "NOT TESTED HERE: 1 tests" in done.stdout
    assert "   1 no browser" in done.stdout
    assert "1 tests took more than 4 s and are not marked slow" in done.stdout
    assert "test_few.py::test_dear" in done.stdout
