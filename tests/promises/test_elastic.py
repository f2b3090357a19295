"""``num_workers: [min, max]``: start with what fits, get a node, lose it, and end with the same answer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linreg_dist as lr
from tests.parts import wait_for, write_parts
from tests.processes import braked, train_workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # it starts three nodes and three groups


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster whose head runs no workers, joined by this process; nodes are added by the test."""
    import ray
    from ray.cluster_utils import Cluster

    ray.shutdown()  # the one of other tests
    # A lost node is found after three seconds: Ray's own half minute would be spent waiting.
    quick = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000}
    quick |= {"health_check_timeout_ms": 1000, "health_check_failure_threshold": 3}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": quick}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    try:
        ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
        yield nodes
    finally:
        ray.shutdown()
        nodes.shutdown()


def spec_for(tmp_path: Path) -> dict[str, Any]:
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y", "validation": {"method": "none"}},
        "solver": {"name": "sgd", "epochs": 4_000, "global_batch_size": 1500, "early_stop": None},
        "scaling": {"num_workers": [1, 2], "elastic_resize_monitor_interval_s": 2.0},
        "run": {"storage_path": str(tmp_path / "runs"), "checkpoint_every_s": 0.5, "max_failures": 3},
        "outputs": {"report": False},
    }


def test_workers_come_and_go_and_the_answer_stays(tmp_path: Path, cluster: Any, caplog) -> None:
    write_parts(tmp_path / "data", [3000, 3000])
    undisturbed = lr.train(spec_for(tmp_path), {"name": "undisturbed", "scaling.num_workers": 0})
    checkpoints = tmp_path / "runs" / "job" / "checkpoints"

    def newest() -> str:
        return max((path.name for path in checkpoints.glob("epoch*")), default="")

    held: list[int] = []  # each group of workers, so that it still works when the test is ready for the next
    cluster.add_node(num_cpus=1)
    with (
        caplog.at_level(logging.INFO, "linreg_dist"),
        ThreadPoolExecutor(1) as pool,
        braked(lambda: held),
    ):
        training = pool.submit(lr.train, spec_for(tmp_path))
        wait_for(lambda: "a group of 1 workers" in caplog.text)
        held[:] = train_workers()
        second = cluster.add_node(num_cpus=1)  # needs the main thread
        wait_for(lambda: "a group of 2 workers" in caplog.text or training.done())
        held[:] = train_workers()
        seen = newest()
        wait_for(lambda: newest() > seen or training.done())  # two workers have got somewhere
        cluster.remove_node(second, allow_graceful=False)
        wait_for(lambda: caplog.text.count("a group of 1 workers") == 2 or training.done())
        held.clear()
        run = training.result(240)
    assert run.result["worker_groups"][:2] == [1, 2], "it grew when there was room"
    assert run.result["num_workers"] == 1, "and went on alone when the node was lost"
    assert run.result["rows"] == undisturbed.result["rows"]
    np.testing.assert_allclose(run.model.coef_, undisturbed.model.coef_, rtol=1e-9)
