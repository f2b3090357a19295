"""The part of the Airflow operators that needs no Airflow: connections, templates, links, a job's watch."""

from __future__ import annotations

import dataclasses
import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from linreg_dist.cluster import Job, JobServer, Shipment, pack_verb, submit
from linreg_dist.cluster.log_lines import LogLines
from linreg_dist.errors import ClusterError, SpecError
from linreg_dist.integrations.airflow.connection import details_of
from linreg_dist.integrations.airflow.provider import get_provider_info
from linreg_dist.integrations.airflow.reports import dashboard_address, report_address, report_of
from linreg_dist.integrations.airflow.templates import as_run_name, typed
from linreg_dist.integrations.airflow.watch import JobWatch

TICK = {"progress": 0.42, "phase": "train", "eta_s": 30.0}
EPOCH = {"epoch": 3, "rows": 10, "train_mse": 2.0}


class Server:
    """A job server that holds one job, and is reachable or not."""

    address = "http://head:8265"

    def __init__(self) -> None:
        self.found: Job | None = Job("flights-1", "RUNNING")
        self.reachable = True
        self.log = f"{json.dumps(TICK)}\n{json.dumps(EPOCH)}\n"
        self.stopped: list[str] = []
        self.connections = 0
        self.sent: list[dict[str, Any]] = []

    def connect(self) -> JobServer:
        self.connections += 1
        self._check()
        return cast(JobServer, self)

    def job(self, job_id: str) -> Job:
        self._check()
        if self.found is None:
            raise SpecError(f"there is no such job: {job_id}")
        return self.found

    def jobs(self) -> list[Job]:
        return [] if self.found is None else [self.found]

    def logs(self, job_id: str) -> str:
        return self.log

    def stop(self, job_id: str) -> bool:
        self._check()
        self.stopped.append(job_id)
        return True

    def submit(
        self, job_id: str, entrypoint: str, runtime_env: dict[str, Any], metadata: dict[str, str]
    ) -> None:
        files = sorted(path.name for path in Path(runtime_env["working_dir"]).iterdir())
        self.sent.append({"id": job_id, "entrypoint": entrypoint, "files": files, **runtime_env})
        self.found = Job(job_id, "RUNNING", metadata=metadata)

    def _check(self) -> None:
        if not self.reachable:
            raise ClusterError("no job server answers at http://head:8265")


class TestConnection:
    @pytest.mark.parametrize(
        ("host", "port", "schema", "address"),
        [
            ("http://head:8265", None, None, "http://head:8265"),
            ("https://ray.example.com", None, None, "https://ray.example.com"),
            ("https://ray.example.com/", 444, None, "https://ray.example.com:444"),
            ("head", None, None, "http://head:8265"),
            ("head", 1234, "https", "https://head:1234"),
            ("head:1234", None, None, "http://head:1234"),
        ],
    )
    def test_its_fields_become_the_job_server_s_address(
        self, host: str, port: int | None, schema: str | None, address: str
    ) -> None:
        found = details_of("ray", host=host, port=port, schema=schema, password=None, extra={})
        assert (found.address, found.token, found.verify) == (address, None, True)

    def test_the_token_is_the_password_and_shown_nowhere(self) -> None:
        fields: dict[str, Any] = {"host": "head", "port": None, "schema": None, "password": "hunter2"}
        extra = {"report_url": "https://r/{name}", "ca_bundle": "/etc/ca.pem"}
        found = details_of("ray", **fields, extra=extra)
        assert (found.token, found.verify, found.report_url) == ("hunter2", "/etc/ca.pem", "https://r/{name}")
        assert "hunter2" not in repr(found)

    @pytest.mark.parametrize("host", [None, ""])
    def test_one_without_a_host_is_refused_by_its_id(self, host: str | None) -> None:
        with pytest.raises(SpecError, match="the connection ray has no host; expected the job server's"):
            details_of("ray", host=host, port=None, schema=None, password=None, extra={})


class TestTemplates:
    def test_what_a_template_gave_is_typed_as_yaml_wherever_it_stands(self) -> None:
        written = {
            "name": "flights-{{ ds }}",
            "data": {"filter": [["month", "==", "{{ params.month }}"]], "target": "12"},
            "solver": {"epochs": "{{ params.epochs }}", "learning_rate": "{{ lr }}"},
            "tracking": "{{ tracking }}",
        }
        rendered = {
            "name": "flights-2013-01-01",
            "data": {"filter": [["month", "==", "3"]], "target": "12"},
            "solver": {"epochs": "10", "learning_rate": "1e-3"},
            "tracking": "{tensorboard: true}",
        }
        assert typed(written, rendered) == {
            "name": "flights-2013-01-01",
            "data": {"filter": [["month", "==", 3]], "target": "12"},
            "solver": {"epochs": 10, "learning_rate": 0.001},
            "tracking": {"tensorboard": True},
        }

    def test_what_airflow_calls_a_run_becomes_a_name_for_ours(self) -> None:
        assert (
            as_run_name("flights-manual__2026-11-27T21:28:11+00:00")
            == "flights-manual__2026-11-27T21-28-11-00-00"
        )
        assert as_run_name("../a..b/") == "a-b"

    def test_text_that_is_no_yaml_stays_text(self) -> None:
        assert typed("{{ x }}", "a: b: c") == "a: b: c"
        assert typed("{{ x }}", "[1, ") == "[1, "

    def test_values_that_were_no_text_stay_what_they_are(self) -> None:
        assert typed(["{{ a }}"], ["1", "2"]) == ["1", "2"]
        assert typed({"a": 1}, {"a": 1, "b": "2"}) == {"a": 1, "b": "2"}


@pytest.mark.parametrize(
    ("report", "template", "link"),
    [
        (None, "https://r/{name}", ""),
        ("/runs/a b/report.html", None, "file:///runs/a%20b/report.html"),
        ("/runs/a b/report.html", "https://r/{name}/report.html", "https://r/a%20b/report.html"),
        ("s3://bucket/runs/report.html", "https://r/{path}", "https://r/bucket/runs/report.html"),
        ("s3://bucket/runs/report.html", None, "s3://bucket/runs/report.html"),
        ("gs://bucket/runs/report.html", None, "https://storage.cloud.google.com/bucket/runs/report.html"),
        ("https://host/report.html", None, "https://host/report.html"),
    ],
)
def test_a_report_has_an_address_for_a_browser(report: str | None, template: str | None, link: str) -> None:
    assert report_address(report, "a b", template) == link


def test_a_job_has_a_page_on_the_dashboard() -> None:
    assert dashboard_address("http://head:8265", "a-1") == "http://head:8265/#/jobs/a-1"
    assert report_of({"report": "/r.html"}) == "/r.html"
    assert report_of({"report": None}) is report_of(None) is None


class TestWatch:
    def test_it_tells_progress_and_does_not_repeat_itself(self) -> None:
        server, now = Server(), [0.0]
        watch = JobWatch(server.connect, "flights-1", 60.0, clock=lambda: now[0])
        assert watch.look().news == "flights-1: RUNNING, 42 %, about 30 s left, epoch 3, train MSE 2"
        now[0] = 20.0
        assert watch.look().news == ""
        server.log += json.dumps({"progress": 0.9, "phase": "train", "eta_s": 3.0}) + "\n"
        now[0] = 40.0
        assert watch.look().news.startswith("flights-1: RUNNING, 90 %")
        server.found = Job("flights-1", "SUCCEEDED")
        look = watch.look()
        assert (look.is_over, look.lost, look.news) == (True, "", "flights-1: SUCCEEDED")
        assert server.connections == 1

    def test_a_log_that_takes_long_to_fetch_is_fetched_rarely(self) -> None:
        server, now, fetched = Server(), [0.0], [0]
        whole = server.logs

        def slow(job_id: str) -> str:
            fetched[0] += 1
            now[0] += 4.0
            return whole(job_id)

        server.logs = slow  # type: ignore[method-assign]  # as a large log does
        watch = JobWatch(server.connect, "flights-1", 60.0, clock=lambda: now[0])
        for second in range(0, 400, 5):
            now[0] = max(now[0], float(second))
            watch.look()
        assert fetched[0] == 2

    def test_little_progress_is_told_once_a_minute(self) -> None:
        server, now = Server(), [0.0]
        watch = JobWatch(server.connect, "flights-1", 60.0, clock=lambda: now[0])
        watch.look()
        server.log += json.dumps({"progress": 0.43, "phase": "train"}) + "\n"
        now[0] = 30.0
        assert watch.look().news == ""
        now[0] = 61.0
        assert "43 %" in watch.look().news
        now[0] = 200.0
        assert watch.look().news == "", "nothing has changed"

    def test_a_cluster_that_comes_back_in_time_is_no_loss(self) -> None:
        server, now = Server(), [0.0]
        watch = JobWatch(server.connect, "flights-1", 60.0, clock=lambda: now[0])
        watch.look()
        server.reachable = False
        assert "it is given 60 s to come back" in watch.look().news
        now[0] = 59.0
        assert watch.look() == dataclasses.replace(watch.look(), is_over=False, lost="", news="")
        server.reachable = True
        watch.look()
        server.reachable = False
        now[0] = 100.0
        assert watch.look().lost == "", "the time counts from the last loss"
        now[0] = 161.0
        assert watch.look().lost.startswith("the cluster was lost 61 s ago: no job server answers")

    def test_a_cluster_that_has_forgotten_the_job_has_lost_it(self) -> None:
        server = Server()
        server.found = None
        look = JobWatch(server.connect, "flights-1", 60.0).look()
        assert look.lost.startswith("the cluster has lost flights-1, as one that was started again does")

    def test_it_stops_the_job(self) -> None:
        server = Server()
        JobWatch(server.connect, "flights-1", 60.0).stop()
        assert server.stopped == ["flights-1"]


class TestVerbsAsJobs:
    def shipment(self, *more: str) -> Shipment:
        arguments = ["predict", "/m o", "--data", "s3://b/x;y", "--output", "/o", *more]
        return pack_verb("predict-1a", arguments, environment={"KEY": "v"})

    def test_it_is_sent_once_and_quoted_for_the_shell(self) -> None:
        server = Server()
        server.found = None
        sent = submit(server.connect(), self.shipment())
        assert (sent.job.id, sent.is_new) == ("predict-1a-1", True)
        assert submit(server.connect(), self.shipment()).is_new is False
        (job,) = server.sent
        assert job["entrypoint"] == (
            "sh python.sh -P -m linreg_dist predict '/m o' --data 's3://b/x;y' --output /o --json"
        )
        assert (job["files"], job["env_vars"]) == (["python.sh"], {"KEY": "v"})

    def test_other_arguments_under_the_same_name_are_refused_while_it_runs(self) -> None:
        server = Server()
        server.found = None
        submit(server.connect(), self.shipment())
        with pytest.raises(SpecError, match="with another spec"):
            submit(server.connect(), self.shipment("--overwrite"))

    def test_its_document_is_found_in_its_log(self) -> None:
        lines = LogLines()
        document = {"output": "/o", "files": 2, "rows": 10, "null_predictions": 0, "seconds": 0.1}
        text = f"hello\n{{\n  half\n{json.dumps(document, indent=2)}\nbye\n"
        items = [*lines.feed(text), *lines.close()]
        assert lines.document == document
        assert lines.result is None
        assert [item for item in items if item in ("hello", "bye")] == ["hello", "bye"]


def test_the_classes_that_the_provider_names_exist() -> None:
    info = get_provider_info()
    (connection,) = info["connection-types"]
    assert connection["connection-type"] == "linreg_ray"
    package = importlib.import_module("linreg_dist.integrations.airflow")
    for path in [connection["hook-class-name"], *info["extra-links"]]:
        module, _, name = path.rpartition(".")
        file = Path(str(package.__file__)).parent / f"{module.rpartition('.')[2]}.py"
        assert f"class {name}(" in file.read_text()
    with pytest.raises(AttributeError, match="has no attribute 'LinregTuneOperator'"):
        _ = package.LinregTuneOperator


def test_asking_for_the_metadata_loads_neither_airflow_nor_ray() -> None:
    program = (
        "import sys, linreg_dist.integrations.airflow.provider\n"
        "assert not {'airflow', 'ray', 'torch', 'pyarrow'} & set(sys.modules), sorted(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
