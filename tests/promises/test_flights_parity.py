"""The jobs on the flights agree with numpy's least squares on the same encoded rows."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

import linreg_dist as lr
from tests.run.flights import ROOT, reference

HAS_WEIGHT = 0.01  # |coefficient| x std(column) / std(target)


@pytest.mark.parametrize("job", ["flights", "flights_sgd", "flights_adam", "flights_ridge"])
def test_a_job_reaches_the_least_squares_fit(job: str, tmp_path: Path) -> None:
    path = ROOT / "jobs" / f"{job}.yaml"
    run = lr.train(path, {"run.storage_path": str(tmp_path)})
    spec = yaml.safe_load(path.read_text())
    expected = reference(
        tuple(spec["data"]["features"]),
        tuple(spec["data"]["categorical"]),
        spec.get("model", {}).get("l2", 0.0),
    )
    assert run.result["rows"]["train"] == expected.rows_train
    assert run.result["rows"]["validation"] == expected.rows_validation
    assert run.metrics["train"]["r2"] == pytest.approx(expected.r2_train, abs=1e-3)
    assert run.metrics["validation"]["r2"] == pytest.approx(expected.r2_validation, abs=1e-3)
    coefficients = pd.Series(run.model.coef_, index=run.model.feature_names_in_)[expected.coefficients.index]
    relative = (coefficients / expected.coefficients - 1).abs()
    tolerance = 1e-8 if run.result["solver"]["name"] == "exact" else 0.01
    heavy = expected.influence > HAS_WEIGHT
    assert relative[heavy].max() < tolerance
