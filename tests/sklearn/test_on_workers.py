"""The scikit-learn estimator on workers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from linreg_dist.sklearn import DistributedLinearRegression
from tests.parts import write_parts


@pytest.mark.usefixtures("light_workers")
def test_two_workers_give_the_coefficients_of_one_process(tmp_path: Path) -> None:
    rows = write_parts(tmp_path / "data", [1700, 1, 0, 333, 900])
    here = DistributedLinearRegression(l2=0.01).fit(rows["x"], rows["y"])
    spread = DistributedLinearRegression(l2=0.01, num_workers=2, storage_path=tmp_path / "runs")
    spread.fit(tmp_path / "data", "y")
    assert spread.run_.result["num_workers"] == 2
    np.testing.assert_allclose(spread.coef_, here.coef_, rtol=1e-6)  # other row groups, in float32
    assert (spread.run_.path / "result.json").exists()
