"""Starts of Ray clusters by tests: who may, and how often. They are most of what the suite costs."""

from __future__ import annotations

import os
from pathlib import Path

is_guarded = False
"""Whether pytest runs; `make soak` starts clusters without it."""
allowed_for: str | None = None
"""The test that runs, if it is marked slow."""
is_known = False
"""Whether this process has a Ray that a test before was allowed, or refused."""
LOG = "LINREG_DIST_TEST_CLUSTERS"
"""Names a file that gets a line for each start, to count them."""


def starting(what: str) -> None:
    """Say that a cluster, or a group of workers, is being started for the test that runs.

    Raises:
        AssertionError: the test is not marked slow.

    """
    global is_known
    assert allowed_for is not None or not is_guarded, f"a test that starts {what} is slow: mark it so"
    is_known = True
    if LOG in os.environ:
        with Path(os.environ[LOG]).open("a") as file:
            file.write(f"{what}\t{allowed_for}\n")
