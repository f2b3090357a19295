"""The job that asks for two workers runs on two, and agrees with the same job in one process."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import linreg_dist as lr
from tests.run.flights import ROOT


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_the_workers_job_agrees_with_one_process(tmp_path: Path) -> None:
    storage = {"run.storage_path": str(tmp_path), "solver.epochs": 5}
    two = lr.train(ROOT / "jobs" / "flights_workers.yaml", storage)
    assert two.result["num_workers"] == 2
    alone = {**storage, "scaling.num_workers": 0, "name": "alone"}
    one = lr.train(ROOT / "jobs" / "flights_workers.yaml", alone)
    np.testing.assert_allclose(two.model.coef_, one.model.coef_, rtol=1e-9)
    assert two.result["rows"] == one.result["rows"]
