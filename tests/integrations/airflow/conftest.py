"""One Airflow and one Ray cluster for all tests of this folder: each takes half a minute to start."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from linreg_dist.cluster import Job, JobServer
from tests import clusters
from tests.cluster.heads import free_ports, running_head
from tests.integrations.airflow.stack import Airflow, Run, running_airflow, wait_for

FLIGHTS = Path(__file__).parents[3] / "jobs/data/flights"


class Cluster:
    """A Ray head at a fixed address, which can be lost and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (self.port,) = free_ports(1)
        self.address = f"http://127.0.0.1:{self.port}"
        self._running = ExitStack()

    def start(self) -> None:
        clusters.allowed_for = clusters.allowed_for or "the fixtures of the real Airflow"
        self._running.enter_context(running_head(self.folder, port=self.port))

    def lose(self) -> None:
        self._running.close()

    @property
    def server(self) -> JobServer:
        return JobServer(self.address)

    def job_of(self, run: Run) -> str:
        """Return the job of a run's task, once the task has given its worker back and the job trains."""

        def trains() -> str | None:
            if run.state() not in ("deferred", "running"):
                return None
            try:
                job_id = str(run.xcom(key="job_id"))
            except OSError:  # there is none yet
                return None
            return job_id if '"epoch": 3' in self.server.logs(job_id) else None

        return wait_for(trains, f"{run.dag} trains", 300)

    def wait(self, job_id: str, state: str, within_s: float) -> Job:
        def look() -> Job | None:
            job = self.server.job(job_id)
            return job if job.state == state else None

        return wait_for(look, f"{job_id} is {state}", within_s)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("head"))
    cluster.start()
    yield cluster
    cluster.lose()


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="session")
def airflow(cluster: Cluster, runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    environ = {
        "FLIGHTS_DATA": str(FLIGHTS),
        "FLIGHTS_RUNS": str(runs),
        "AIRFLOW_CONN_LINREG_RAY": json.dumps({"conn_type": "linreg_ray", "host": cluster.address}),
        "RAY_AUTH_MODE": "disabled",
    }
    with running_airflow(tmp_path_factory.mktemp("airflow"), environ) as started:
        yield started
