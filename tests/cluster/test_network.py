"""Hosts with addresses of their own, and a network that fails between them in mid-epoch."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import yaml

import linreg_dist as lr
from tests.cluster.hosts import Hosts, running_hosts, why_not
from tests.parts import wait_for, write_parts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_ENDS_WITHIN_S = 240.0  # of the network's repair, or of the end of the job's patience


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with running_hosts(tmp_path_factory.mktemp("hosts")) as started:
        yield started


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> lr.Run:
    """The data, and what the job gives in this process."""
    folder = tmp_path_factory.mktemp("network")
    write_parts(folder / "data", [5000] * 4, num_features=4, row_group_size=1000)
    document = {
        "name": "undisturbed",
        "data": {"path": str(folder / "data"), "target": "y"},
        "solver": {"name": "sgd", "epochs": 40, "global_batch_size": 500, "early_stop": None},
        "run": {"storage_path": str(folder / "runs"), "checkpoint_every_s": 0.2},
        "outputs": {"report": False},
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(document))
    return lr.train(folder / "job.yaml")


class Attempt:
    """The job on both hosts, under a name of its own."""

    def __init__(self, hosts: Hosts, undisturbed: lr.Run, name: str, *overrides: str) -> None:
        self.run = undisturbed.path.parent / name
        self.log = self.run.with_suffix(".log")
        self._expected = undisturbed
        command = [
            *(sys.executable, "-m", "linreg_dist", "train", str(self.run.parents[1] / "job.yaml")),
            *("--quiet", "--json", "--address", hosts.address),
        ]
        for override in (f"name={name}", "scaling.num_workers=2", *overrides):
            command += ["--set", override]
        self.process = hosts.popen(command, self.log)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 120.0) -> None:
        def is_met() -> bool:
            if condition():
                return True
            assert self.process.poll() is None, self.log.read_text()
            return False

        wait_for(is_met, timeout_s)

    def is_in_mid_epoch(self) -> bool:
        return any((self.run / "checkpoints").glob("epoch*"))

    def end(self) -> int:
        try:
            return self.process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            pytest.fail(f"it hangs:\n{self.log.read_text()}")
        finally:
            self.close()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()

    def check_answer(self) -> None:
        result = json.loads((self.run / "result.json").read_text())
        assert result["status"] == "succeeded"
        assert (result["num_workers"], result["rows"]) == (2, self._expected.result["rows"])
        model = lr.LinearModel.load(self.run / "model")
        np.testing.assert_allclose(model.coef_, self._expected.model.coef_, rtol=1e-5)
        np.testing.assert_allclose(model.intercept_, self._expected.model.intercept_, rtol=1e-5)


def test_a_host_that_was_cut_off_comes_back_and_the_job_continues(hosts: Hosts, undisturbed: lr.Run) -> None:
    attempt = Attempt(hosts, undisturbed, "healed")
    attempt.wait_until(attempt.is_in_mid_epoch)
    hosts.cut()
    try:
        attempt.wait_until(lambda: hosts.nodes_alive() == 1)
        checkpoint = max(attempt.run.glob("checkpoints/epoch*")).name
        assert checkpoint < "epoch000039"  # there is something left to do
    finally:
        hosts.heal()
    assert attempt.end() == 0, attempt.log.read_text()
    attempt.check_answer()
    hosts.wait_for_nodes(2)


def test_a_host_that_stays_away_ends_the_job_with_a_clear_message(hosts: Hosts, undisturbed: lr.Run) -> None:
    attempt = Attempt(hosts, undisturbed, "away", "run.wait_for_nodes_s=5")
    attempt.wait_until(attempt.is_in_mid_epoch)
    hosts.cut()
    try:
        assert attempt.end() == 4
    finally:
        hosts.heal()
    error = json.loads((attempt.run / "result.json").read_text())["error"]
    assert error["type"] == "ClusterError"
    assert "nodes were lost and not replaced for 5 s" in error["message"]
    assert "2 CPU (2 workers x 1) of 1" in error["message"]
    hosts.wait_for_nodes(2)
    again = Attempt(hosts, undisturbed, "away")
    assert again.end() == 0, again.log.read_text()
    again.check_answer()
