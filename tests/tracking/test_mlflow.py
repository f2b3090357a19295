"""MLflow runs, in a real store and at a real server, read back by MLflow's own client."""

from __future__ import annotations

import json
import logging
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from tests.parquet import linear_columns, write_parquet

# MLflow takes seconds to load, and to make its database.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::UserWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:mlflow"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # MLflow leaves connections to its database open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    write_parquet(tmp_path / "data" / "a.parquet", linear_columns(300, 2))
    return {
        "name": "flights",
        "data": {"path": str(tmp_path / "data"), "target": "y"},
        "solver": {"name": "sgd", "epochs": 3, "early_stop": None},
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False},
    }


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database for all tests: MLflow takes long to make one."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'mlflow.db'}"


def client_of(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=uri)


def only_run(client: Any, experiment: str) -> Any:
    (found,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return found


def test_a_run_is_in_the_store_with_all_that_made_it(
    spec: dict[str, Any], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow puts files of a store that has no place for them
    run = lr.train({**spec, "tracking": {"mlflow": {"uri": uri, "experiment": "delays"}, "required": True}})
    client = client_of(uri)
    found = only_run(client, "delays")
    assert (found.info.status, found.info.run_name) == ("FINISHED", "flights")
    assert found.data.params["solver.name"] == "sgd"
    assert found.data.params["model.l2"] == "0.0"
    assert found.data.tags["linreg_dist.data_digest"] == run.result["data"]["digest"]
    assert found.data.metrics["validation_r2"] == pytest.approx(run.metrics["validation"]["r2"])
    history = client.get_metric_history(found.info.run_id, "train_mse")
    lines = [json.loads(line) for line in (run.path / "metrics.jsonl").read_text().splitlines()]
    epochs = [line["train_mse"] for line in lines if "epoch" in line]
    assert [point.value for point in history] == pytest.approx([*epochs, run.metrics["train"]["mse"]])
    (used,) = found.inputs.dataset_inputs
    assert run.result["data"]["digest"].startswith(used.dataset.digest)

    import mlflow.artifacts
    import mlflow.pyfunc

    place = mlflow.artifacts.download_artifacts(
        run_id=found.info.run_id, tracking_uri=uri, dst_path=str(tmp_path / "got")
    )
    assert json.loads((Path(place) / "result.json").read_text())["status"] == "succeeded"
    rows = pq.read_table(tmp_path / "data")
    predicted = mlflow.pyfunc.load_model(f"{place}/model").predict(rows.to_pandas())["prediction"]
    np.testing.assert_allclose(predicted, run.model.predict(rows), rtol=1e-12)
    assert mlflow.active_run() is None  # nothing of the process's own is touched


def test_a_run_that_fails_is_failed_there_too(
    spec: dict[str, Any], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    spec["solver"].update(learning_rate=1e12)
    with pytest.raises(lr.LinregDistError):
        lr.train({**spec, "tracking": {"mlflow": {"uri": uri, "experiment": "failures"}}})
    found = only_run(client_of(uri), "failures")
    assert found.info.status == "FAILED"
    assert found.data.tags["linreg_dist.error"]


@pytest.fixture
def server(uri: str, tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = ["--backend-store-uri", uri, "--artifacts-destination", str(tmp_path / "artifacts")]
    process = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{url}/health", timeout=2)  # noqa: S310 (our own server)
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(
                        f"the server did not start: {process.stderr and process.stderr.read()[-2000:]}"
                    )
                time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def test_a_server_is_told_too(spec: dict[str, Any], server: str) -> None:
    run = lr.train(
        {**spec, "tracking": {"mlflow": {"uri": server, "experiment": "served"}, "required": True}}
    )
    found = only_run(client_of(server), "served")
    assert found.info.status == "FINISHED"
    assert found.data.metrics["train_rmse"] == pytest.approx(run.metrics["train"]["rmse"])


def test_a_server_that_is_down_costs_seconds_and_no_run(
    spec: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        before = dict(os.environ)
        with caplog.at_level(logging.WARNING, logger="linreg_dist"):
            run = lr.train({**spec, "tracking": {"mlflow": {"uri": uri}}})
        assert run.document.status == "succeeded"
        assert "tracking: mlflow:" in caplog.text
        assert dict(os.environ) == before
        with pytest.raises(lr.StorageError, match=r"tracking\.required"):
            lr.train({**spec, "name": "other", "tracking": {"mlflow": {"uri": uri}, "required": True}})
