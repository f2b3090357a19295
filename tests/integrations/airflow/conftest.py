"""One Airflow and one Ray cluster for all tests of this folder: each takes half a minute to start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Protected:
    """Where a cluster will be that lets nobody in without its token, and that token."""

    port: int
    token: str

    def connection(self, token: str) -> str:
        """Return a connection of Airflow to it, as the environment has it."""
        return json.dumps(
            {"conn_type": "linreg_ray", "host": f"http://127.0.0.1:{self.port}", "password": token}
        )

    @property
    def environ(self) -> dict[str, str]:
        return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token}


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
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return four months of flights; the fourth one's file is damaged."""
    folder = tmp_path_factory.mktemp("nights")
    for month in (1, 2, 3, 4):
        shutil.copytree(FLIGHTS / f"month={month}", folder / f"month={month}")
    file = folder / "month=4/part-0.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    return folder


@pytest.fixture(scope="session")
def protected() -> Protected:
    (port,) = free_ports(1)
    return Protected(port, "0123456789abcdef" * 4)


@pytest.fixture(scope="session")
def airflow(
    cluster: Cluster,
    protected: Protected,
    runs: Path,
    nights: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Airflow]:
    environ = {
        "FLIGHTS_DATA": str(FLIGHTS),
        "FLIGHTS_RUNS": str(runs),
        "FLIGHTS_NIGHTS": str(nights),
        "AIRFLOW_CONN_LINREG_TOKEN": protected.connection(protected.token),
        "AIRFLOW_CONN_LINREG_WRONG": protected.connection("fedcba9876543210" * 4),
        "AIRFLOW_CONN_LINREG_RAY": json.dumps({"conn_type": "linreg_ray", "host": cluster.address}),
        "RAY_AUTH_MODE": "disabled",
    }
    with running_airflow(tmp_path_factory.mktemp("airflow"), environ) as started:
        yield started
