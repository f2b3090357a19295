"""A whole Airflow: database, scheduler, DAG processor, triggerer and API server, each its own process."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from tests.cluster.heads import free_ports

COMPONENTS = ("api-server", "scheduler", "dag-processor", "triggerer")
DAGS = Path(__file__).with_name("dags")
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_SECONDS_TO_START = 240.0
_Found = TypeVar("_Found")


def wait_for(look: Callable[[], _Found | None], what: str, within_s: float = 120.0) -> _Found:
    """Return what ``look`` finds, as soon as it finds something."""
    deadline = time.monotonic() + within_s
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what}: not within {within_s:g} s"
        time.sleep(0.3)


class Airflow:
    """The processes, and what a person does in the browser: start a DAG, look at its tasks, end one."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self.home = home
        (self.port, log_port, trigger_port) = free_ports(3)
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",  # on a machine that has more to do
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            "AIRFLOW__CORE__PARALLELISM": "3",
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__WORKERS": "1",
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": "for-tests-alone-" * 4,
            "AIRFLOW__API_AUTH__JWT_SECRET": "for-tests-alone-" * 4,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(log_port),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(trigger_port),
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
            **environ,
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""

    def start(self, *components: str) -> None:
        """Start components, by default all."""
        for name in components or COMPONENTS:
            with (self.home / f"{name}.log").open("ab") as log:
                self._running[name] = subprocess.Popen(
                    [sys.executable, "-m", "airflow", name],
                    env=self.environ,
                    cwd=self.home,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )

    def kill(self, name: str) -> None:
        """Kill a component with all that it has started, as a machine that goes away does."""
        process = self._running.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        for process in self._running.values():
            process.terminate()
        deadline = time.monotonic() + 10
        for name, process in list(self._running.items()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
            self.kill(name)

    def cli(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "airflow", *arguments]
        done = subprocess.run(command, env=self.environ, cwd=self.home, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Call the REST API."""
        request = urllib.request.Request(  # noqa: S310 (http, to our own process)
            f"{self.url}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": f"Bearer {self.token()}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read() or b"null")

    def token(self) -> str:
        if not self._token:
            with urllib.request.urlopen(f"{self.url}/auth/token", timeout=60) as answer:  # noqa: S310
                self._token = json.loads(answer.read())["access_token"]
        return self._token

    def wait_until_ready(self, *dags: str) -> None:
        """Wait until the API answers and the scheduler knows the DAGs."""

        def known() -> bool:
            for name, process in self._running.items():
                assert process.poll() is None, (self.home / f"{name}.log").read_text()[-5000:]
            try:
                found = {each["dag_id"] for each in self.request("GET", "/api/v2/dags")["dags"]}
                faults = self.request("GET", "/api/v2/importErrors")["import_errors"]
            except OSError:
                return False
            assert not faults, faults[0]["stack_trace"]
            return found.issuperset(dags)

        wait_for(known, "Airflow knows its DAGs", _SECONDS_TO_START)

    def trigger(self, dag: str, **params: Any) -> Run:
        """Start a DAG."""
        body = {"logical_date": None, "conf": params}
        return Run(self, dag, str(self.request("POST", f"/api/v2/dags/{dag}/dagRuns", body)["dag_run_id"]))


class Run:
    """A run of a DAG."""

    def __init__(self, airflow: Airflow, dag: str, run_id: str) -> None:
        self.airflow = airflow
        self.dag = dag
        self.run_id = run_id
        self.path = f"/api/v2/dags/{dag}/dagRuns/{run_id}"

    def task(self, task: str = "train", map_index: int = -1) -> dict[str, Any]:
        """Return a task's instance as the API has it."""
        path = f"{self.path}/taskInstances/{task}" + (f"/{map_index}" if map_index >= 0 else "")
        found: dict[str, Any] = self.airflow.request("GET", path)
        return found

    def state(self, task: str = "train") -> str:
        return str(self.task(task)["state"])

    def wait(self, *states: str, task: str = "train", within_s: float = 150.0) -> dict[str, Any]:
        """Wait until a task is in one of the states."""

        def look() -> dict[str, Any] | None:
            found = self.task(task)
            return found if found["state"] in states else None

        try:
            return wait_for(look, f"{self.dag}.{task} in {states}", within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {self.state(task)}\n{self.log(task)}") from None

    def ended(self, within_s: float = 240.0) -> str:
        """Wait until the run has ended, and return how."""

        def look() -> str | None:
            state = str(self.airflow.request("GET", self.path)["state"])
            return state if state in ("success", "failed") else None

        return wait_for(look, f"{self.dag} ends", within_s)

    def xcom(self, task: str = "train", key: str = "return_value", map_index: int = -1) -> Any:
        path = f"{self.path}/taskInstances/{task}/xcomEntries/{key}?map_index={map_index}&deserialize=true"
        return self.airflow.request("GET", path)["value"]

    def links(self, task: str = "train", map_index: int = -1) -> dict[str, Any]:
        path = f"{self.path}/taskInstances/{task}/links?map_index={map_index}"
        found: dict[str, Any] = self.airflow.request("GET", path)["extra_links"]
        return found

    def log(self, task: str = "train", attempt: int | None = None, map_index: int = -1) -> str:
        """Return a task's log as the UI shows it."""
        number = attempt or self.task(task, map_index)["try_number"]
        path = f"{self.path}/taskInstances/{task}/logs/{number}?map_index={map_index}&full_content=true"
        content = self.airflow.request("GET", path)["content"]
        return "\n".join(json.dumps(line) if isinstance(line, dict) else str(line) for line in content)

    def clear(self, task: str = "train") -> None:
        """Do what the button "Clear" does: the task is ended if it runs, and begins again."""
        body = {"dry_run": False, "dag_run_id": self.run_id, "task_ids": [task], "only_failed": False}
        self.airflow.request("POST", f"/api/v2/dags/{self.dag}/clearTaskInstances", body)

    def mark(self, state: str, task: str = "train") -> None:
        """Do what the buttons "Mark success" and "Mark failed" do."""
        self.airflow.request("PATCH", f"{self.path}/taskInstances/{task}", {"new_state": state})


def take_picture(url: str, file: Path) -> None:
    """Write what a browser shows at a URL as PNG."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    with tempfile.TemporaryDirectory() as profile:
        for option in (*OPTIONS, "--window-size=1480,860", f"--user-data-dir={profile}"):
            options.add_argument(option)
        browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            browser.get(url)
            time.sleep(15)  # the page fetches what it shows piece by piece
            browser.save_screenshot(str(file))
        finally:
            browser.quit()


@contextlib.contextmanager
def running_airflow(home: Path, environ: Mapping[str, str]) -> Iterator[Airflow]:
    """Start an Airflow, and end it afterwards."""
    airflow = Airflow(home, environ)
    airflow.cli("db", "migrate")
    airflow.start()
    try:
        airflow.wait_until_ready("months", "one", "nightly", "protected", "here", "waits", "limited")
        yield airflow
    finally:
        airflow.stop()
