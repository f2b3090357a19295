"""A cluster of two nodes gives the numbers of this process, and its job server the verbs that people use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from linreg_dist.verbs.score import predict
from tests.cluster.heads import Head
from tests.nodes import Nodes, running_nodes
from tests.parts import wait_for, write_parts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# The others differ in what workers do, which `tests.promises.test_workers` compares without a cluster.
SOLVERS: dict[str, dict[str, Any]] = {
    "exact": {},
    "sgd": {"epochs": 4, "global_batch_size": 256},
}


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """One CPU on each of two nodes: workers that take one each are on both."""
    with running_nodes((1, 1), dashboard=True) as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("two-nodes")
    write_parts(path / "data", [1700, 1, 0, 333, 40, 900])
    return path


def spec(folder: Path, solver: str, place: str, workers: int) -> dict[str, Any]:
    return {
        "name": f"{solver}-{place}",
        "data": {"path": str(folder / "data"), "target": "y"},
        "model": {"l2": 0.01},
        "solver": {"name": solver, "seed": 3, **SOLVERS[solver]},
        "scaling": {"num_workers": workers},
        "run": {"storage_path": str(folder / "runs")},
        "outputs": {"report": False},
    }


def train_there(address: str, specs: list[dict[str, Any]]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.train_on_nodes", address],
        input=json.dumps(specs),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_pass_steps_and_predict_give_the_numbers_of_local_mode(
    nodes: Nodes, folder: Path, tmp_path: Path
) -> None:
    train_there(nodes.address, [spec(folder, solver, "there", 2) for solver in SOLVERS])
    for solver in SOLVERS:
        here = lr.train(spec(folder, solver, "here", 0))
        there = folder / "runs" / f"{solver}-there"
        result = json.loads((there / "result.json").read_text())
        assert (result["num_workers"], result["rows"]) == (2, here.result["rows"])
        model = lr.LinearModel.load(there / "model")
        tolerance = 1e-12 if solver == "exact" else 1e-5
        np.testing.assert_allclose(model.coef_, here.model.coef_, rtol=tolerance)
        np.testing.assert_allclose(model.intercept_, here.model.intercept_, rtol=tolerance)
        assert result["metrics"]["validation"]["mse"] == pytest.approx(
            here.metrics["validation"]["mse"], rel=tolerance
        )
        scored = []
        for number, run in enumerate((there, here.path)):
            output = tmp_path / f"{solver}-{number}"
            predict(run / "model", [str(folder / "data")], output, [])
            scored.append(pq.read_table(output).column(0).to_numpy())
        assert len(scored[0]) == 2974
        np.testing.assert_allclose(scored[0], scored[1], rtol=1e-4, atol=1e-5)  # they are float32


def test_a_job_on_two_nodes_is_submitted_watched_and_stopped(nodes: Nodes, folder: Path) -> None:
    head = Head(nodes.job_server, {**os.environ, "RAY_AUTH_MODE": "disabled"}, folder)
    document = spec(folder, "sgd", "sent", 2)
    document["solver"] |= {"epochs": 100_000, "learning_rate": 1e-9, "early_stop": None}
    (folder / "sent.json").write_text(json.dumps(document))
    sent = head.cli("submit", "sent.json", "--no-wait")
    assert (sent.returncode, sent.stdout) == (0, "sgd-sent-1\n"), sent.stderr
    command = head.command("logs", "sgd-sent", "-f")
    with subprocess.Popen(command, env=head.environ, stdout=subprocess.PIPE, text=True) as followed:
        try:
            wait_for(lambda: _metrics(head) is not None, 240.0)
            assert head.cli("stop", "sgd-sent").stdout == "sgd-sent-1: STOPPED\n"
            output, _ = followed.communicate(timeout=60)
        finally:
            followed.kill()  # one that has ended, unless the test has failed
    assert '"epoch": 0' in output
    # The notice reached the run itself: it says that it was stopped, and the same job would continue.
    result = json.loads((folder / "runs" / "sgd-sent" / "result.json").read_text())
    assert result["status"] == "interrupted"


def _metrics(head: Head) -> dict[str, Any] | None:
    """Return the newest metrics of a job that is to run until it is stopped."""
    status = json.loads(head.cli("status", "sgd-sent", "--json").stdout)
    assert status["state"] in ("PENDING", "RUNNING")
    metrics: dict[str, Any] | None = status["metrics"]
    return metrics
