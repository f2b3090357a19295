"""A real Dagster: its web server with code server and run workers, in a session of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import requests

from tests.cluster.heads import free_ports
from tests.parts import wait_for

DEFS = Path(__file__).with_name("defs.py")
ROOT = Path(__file__).parents[3]
CONFIG = """
telemetry: {enabled: false}
run_coordinator: {module: dagster._core.run_coordinator, class: DefaultRunCoordinator}
"""


LAUNCH = """
mutation ($parameters: ExecutionParams!) {
  launchRun(executionParams: $parameters) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
TERMINATE = "mutation ($run: String!) { terminateRun(runId: $run) { __typename } }"


@dataclass
class Orchestrator:
    """A running Dagster.

    Attributes:
        home: its DAGSTER_HOME.
        url: of its UI.

    """

    home: Path
    url: str
    process: subprocess.Popen[bytes]

    @contextlib.contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.home)) as instance:
            yield instance

    def launch(self, asset: str, partition: str | None = None) -> str:
        """Start a run as the UI does, and return its id."""
        tags = [] if partition is None else [{"key": "dagster/partition", "value": partition}]
        selector = {
            "repositoryLocationName": DEFS.name,
            "repositoryName": "__repository__",
            "jobName": f"{asset}_job",
        }
        parameters = {
            "selector": selector,
            "runConfigData": {},
            "mode": "default",
            "executionMetadata": {"tags": tags},
        }
        answer = self._ask(LAUNCH, {"parameters": parameters})["launchRun"]
        assert "run" in answer, answer
        return str(answer["run"]["runId"])

    def cancel(self, run_id: str) -> None:
        """Cancel a run as the UI does."""
        answer = self._ask(TERMINATE, {"run": run_id})["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def _ask(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        asked = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=120
        )
        answer: dict[str, Any] = asked.json()
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    def status(self, run_id: str) -> str:
        with self.instance() as instance:
            run = instance.get_run_by_id(run_id)
        assert run is not None
        return run.status.value

    def wait(self, run_id: str, timeout_s: float = 600.0) -> str:
        """Wait for the end of a run, and return its status."""
        over = ("SUCCESS", "FAILURE", "CANCELED")
        wait_for(lambda: self.status(run_id) in over, timeout_s)
        return self.status(run_id)

    def events(self, run_id: str) -> Sequence[dg.EventLogEntry]:
        with self.instance() as instance:
            return list(instance.all_logs(run_id))

    def log(self, run_id: str) -> str:
        """Return the messages of a run, as its page shows them."""
        return "\n".join(event.user_message for event in self.events(run_id))

    def kill(self) -> None:
        """Kill all of it at once, as a machine that goes down does."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@contextlib.contextmanager
def running_dagster(home: Path, **environ: str) -> Iterator[Orchestrator]:
    """Start a Dagster, and end it with all that it has started."""
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(CONFIG)
    (port,) = free_ports(1)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    command = [str(Path(sys.executable).with_name("dagster-webserver")), "-f", str(DEFS)]
    with (home / "webserver.log").open("a") as log:
        process = subprocess.Popen(
            [*command, "-h", "127.0.0.1", "-p", str(port)],
            cwd=ROOT,
            env={**kept, "DAGSTER_HOME": str(home), "RAY_AUTH_MODE": "disabled", **environ},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    orchestrator = Orchestrator(home, f"http://127.0.0.1:{port}", process)
    try:
        _wait_for(orchestrator)
        yield orchestrator
    finally:
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(15)
            with contextlib.suppress(ProcessLookupError):
                orchestrator.kill()


def _wait_for(orchestrator: Orchestrator) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and orchestrator.process.poll() is None:
        with contextlib.suppress(requests.RequestException):
            if requests.get(f"{orchestrator.url}/server_info", timeout=5).ok:
                return
        time.sleep(0.5)
    raise RuntimeError((orchestrator.home / "webserver.log").read_text())
