"""Jobs on two workers agree with one process: of the linear model, and of a module of one's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from tests import own_modules
from tests.parquet import linear_columns, write_parquet
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


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_a_module_of_ones_own_is_found_by_the_workers_and_trains_as_in_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    code.mkdir()
    (code / "own_net.py").write_text(Path(own_modules.__file__).read_text())
    monkeypatch.syspath_prepend(str(code))
    path = write_parquet(tmp_path / "rows.parquet", linear_columns(num_rows=2000), row_group_size=250)
    spec = {
        "data": {"path": str(path), "target": "y"},
        "model": {"module": "own_net.TwoLayers", "module_args": {"hidden": 8}},
        "solver": {"epochs": 3, "learning_rate": 0.01, "global_batch_size": 100},
        "run": {"storage_path": str(tmp_path)},
    }
    env = {"PYTHONPATH": str(code)}
    two = lr.train({**spec, "name": "two", "scaling": {"num_workers": 2}, "cluster": {"env": env}})
    one = lr.train({**spec, "name": "one"})
    assert two.result["num_workers"] == 2
    assert [each["rank"] for each in two.result["workers"]] == [0, 1]
    rows = pq.read_table(path)
    np.testing.assert_allclose(two.model.predict(rows), one.model.predict(rows), rtol=1e-4, atol=1e-4)
    assert "Residuals of y" in (two.path / "report.html").read_text()
