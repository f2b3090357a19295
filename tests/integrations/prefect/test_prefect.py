"""The example for Prefect under a real Prefect, which starts a server of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.integrations.commands import EXAMPLES, copy_example, result_of, run, solve_exactly

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # each starts a server


def test_a_flow_trains_and_tries_again_only_where_it_helps(tmp_path: Path) -> None:
    place = copy_example("dvc", tmp_path)
    solve_exactly(place)
    flow = str(EXAMPLES / "prefect/flow.py")
    done = run(sys.executable, flow, "job.yaml", "1", "2", cwd=place)
    assert result_of(place)["update"]["files"] == 1
    assert "Completed" in done.stderr + done.stdout
    wrong = run(sys.executable, flow, "job.yaml", "7", cwd=place, rc=1)
    said = wrong.stderr + wrong.stdout
    assert "there is no Parquet file at month=7 below data.path" in said
    assert "AwaitingRetry" not in said
