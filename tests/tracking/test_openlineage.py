"""The events as a real server receives them, and what happens where there is none."""

from __future__ import annotations

import copy
import http.server
import json
import threading
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT202012

import linreg_dist as lr
from linreg_dist.errors import RunFailedError, SpecError, StorageError, to_record
from linreg_dist.jobspec import load_spec
from linreg_dist.tracking.lineage import lineage_of
from linreg_dist.tracking.openlineage import LineageError, is_configured, run_event, send
from tests.parquet import linear_columns, write_parquet
from tests.tracking.test_lineage import COLUMNS, result, spec

IDENTITY = str(uuid.uuid4())
SCHEMAS: Registry[Any] = Registry().with_resources(
    (name, DRAFT202012.create_resource(schema))
    for name, schema in json.loads(Path(__file__).with_name("openlineage.schema.json").read_text())[
        "schemas"
    ].items()
)
FORMATS = jsonschema.FormatChecker(("uuid",))


class Server:
    """A lineage server: it keeps what is posted, and answers with `status`."""

    def __init__(self) -> None:
        self.received: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 201
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.path == "/api/v1/lineage"
                outer.received.append(json.loads(body))
                outer.headers.append(dict(self.headers))
                self.send_response(outer.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("OPENLINEAGE_URL", "OPENLINEAGE_API_KEY", "OPENLINEAGE_CONFIG", "OPENLINEAGE_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    started = Server()
    yield started
    started.close()


def check(event: dict[str, Any]) -> None:
    """Check an event, and every facet in it, against OpenLineage's published schemas."""
    _valid(event, event["schemaURL"])
    assert datetime.fromisoformat(event["eventTime"]).tzinfo is not None
    for part in (event["run"], event["job"], *event["inputs"], *event["outputs"]):
        for place in ("facets", "inputFacets", "outputFacets"):
            for name, facet in part.get(place, {}).items():
                assert facet["_producer"].startswith("urn:linreg-dist:") or name == "tags", name
                if name != "linregDist":  # ours, which the schema of every run facet has been asked of
                    _valid(facet, facet["_schemaURL"])


def _valid(document: dict[str, Any], schema: str) -> None:
    validator = jsonschema.Draft202012Validator({"$ref": schema}, registry=SCHEMAS, format_checker=FORMATS)
    faults = [f"{fault.json_path}: {fault.message}" for fault in validator.iter_errors(document)]
    assert not faults, faults


def test_a_finished_run_arrives_with_its_data_its_model_and_its_columns(server: Server) -> None:
    job = spec(filter=[["month", "==", 1]])
    document = result(missing_values={"distance": 3}, metrics={"train": {"mse": 1.5, "rmse": 1.2}})
    send(run_event(lineage_of(job, IDENTITY, document, COLUMNS)), server.url)
    (event,) = server.received
    assert event["eventType"] == "COMPLETE"
    assert event["schemaURL"].endswith("/OpenLineage.json#/$defs/RunEvent")
    assert event["run"]["runId"] == IDENTITY
    assert (event["job"]["namespace"], event["job"]["name"]) == ("linreg_dist", "flights")
    (read,) = event["inputs"]
    assert (read["namespace"], read["name"]) == ("file", "/data/flights")
    assert read["facets"]["version"]["datasetVersion"] == "abc"
    fields = {field["name"]: field.get("type") for field in read["facets"]["schema"]["fields"]}
    assert fields == {
        "distance": "numeric",
        "carrier": "categorical",
        "constant": "categorical",
        "delay": None,
        "month": None,
    }
    quality = read["inputFacets"]["dataQualityMetrics"]
    assert (quality["rowCount"], quality["bytes"], quality["fileCount"]) == (103, 1000, 2)
    assert quality["columnMetrics"]["distance"]["nullCount"] == 3
    (model,) = event["outputs"]
    assert (model["namespace"], model["name"]) == ("file", "/runs/flights/model")
    lineage = model["facets"]["columnLineage"]
    sources = {
        name: [(each["name"], each["field"]) for each in field["inputFields"]]
        for name, field in lineage["fields"].items()
    }
    assert sources["carrier=AA"] == [("/data/flights", "carrier"), ("/data/flights", "delay")]
    assert set(sources) == {"distance", "carrier=AA", "carrier=UA", "(intercept)"}
    (filtered,) = lineage["dataset"]
    assert (filtered["field"], filtered["transformations"][0]["subtype"]) == ("month", "FILTER")
    assert event["run"]["facets"]["linregDist"]["result"]["metrics"]["train"]["mse"] == 1.5
    check(event)


def test_the_schemas_refuse_what_openlineage_would(server: Server) -> None:
    send(run_event(lineage_of(spec(), IDENTITY, result(), COLUMNS)), server.url)
    (event,) = server.received
    for damage in (
        lambda found: found.update(eventType="DONE"),
        lambda found: found["run"].update(runId="17"),
        lambda found: found["job"].pop("namespace"),
        lambda found: found["inputs"][0]["facets"]["schema"].update(collumns=[]),
        lambda found: found["outputs"][0]["facets"]["columnLineage"].pop("fields"),
        lambda found: found["run"]["facets"]["linregDist"].pop("_producer"),
    ):
        damaged = copy.deepcopy(event)
        damage(damaged)
        with pytest.raises(AssertionError):
            check(damaged)


def test_a_failed_run_says_why_and_has_no_model(server: Server) -> None:
    failed = result(status="failed", error=to_record(RunFailedError("worker 1: out of memory")))
    send(run_event(lineage_of(spec(), IDENTITY, failed)), server.url)
    (event,) = server.received
    assert (event["eventType"], event["outputs"]) == ("FAIL", [])
    assert event["run"]["facets"]["errorMessage"]["message"] == "worker 1: out of memory"
    check(event)


def test_a_run_that_starts_names_what_it_will_read_and_who_started_it(server: Server) -> None:
    parent = str(uuid.uuid4())
    start = lineage_of(spec(features=["distance"]), IDENTITY)
    send(run_event(start, parent=f"airflow/nightly/train/{parent}"), server.url)
    (event,) = server.received
    assert (event["eventType"], event["outputs"]) == ("START", [])
    facet = event["run"]["facets"]["parent"]
    assert facet["run"]["runId"] == parent
    assert (facet["job"]["namespace"], facet["job"]["name"]) == ("airflow", "nightly/train")
    check(event)
    assert "parent" not in json.dumps(run_event(start, parent="nonsense").run.facets, default=str)


def test_a_model_too_wide_to_list_has_no_columns_but_a_version(server: Server) -> None:
    from linreg_dist.tracking.lineage import SourceColumn

    wide = [SourceColumn(f"x{i}", "numeric", (f"x{i}",)) for i in range(2500)]
    send(run_event(lineage_of(spec(), IDENTITY, result(), wide)), server.url)
    (model,) = server.received[0]["outputs"]
    check(server.received[0])
    assert set(model["facets"]) == {"version"}
    assert model["outputFacets"]["outputStatistics"]["rowCount"] == 2501


def test_the_variables_of_the_library_say_where_to_and_with_which_key(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not is_configured(None, {})
    assert is_configured("http://x", {})
    assert not is_configured("http://x", {"OPENLINEAGE_DISABLED": "true"})
    assert is_configured(None, {"OPENLINEAGE__TRANSPORT__TYPE": "console"})
    monkeypatch.setenv("OPENLINEAGE_URL", server.url)
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "hunter2")
    monkeypatch.setenv("OPENLINEAGE_NAMESPACE", "nightly")
    event = run_event(lineage_of(spec(), IDENTITY, result(), COLUMNS))
    send(event, None)
    send(event, server.url)
    assert [each["Authorization"] for each in server.headers] == ["Bearer hunter2"] * 2
    assert server.received[0]["job"]["namespace"] == "nightly"


def test_a_server_that_is_down_or_refuses_is_an_error_of_ours(server: Server) -> None:
    event = run_event(lineage_of(spec(), IDENTITY, result(), COLUMNS))
    server.status = 400
    with pytest.raises(LineageError, match="400"):
        send(event, server.url)
    server.close()
    with pytest.raises(LineageError, match="Connect"):
        send(event, server.url)


def test_no_value_of_the_environment_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_TOKEN", "hunter2hunter2")
    job = load_spec({"name": "a", "data": {"path": "/data/${DATA_TOKEN}", "target": "y"}})
    send(run_event(lineage_of(job, IDENTITY)), server.url)
    assert "hunter2" not in json.dumps(server.received)


def job(server: Server, tmp_path: Path, **more: Any) -> dict[str, Any]:
    write_parquet(tmp_path / "rows.parquet", linear_columns(200, 2))
    return {
        "name": "job",
        "data": {"path": str(tmp_path / "rows.parquet"), "target": "y"},
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False},
        "tracking": {"openlineage": {"url": server.url}},
        **more,
    }


def test_a_real_run_tells_its_begin_and_its_end_once(server: Server, tmp_path: Path) -> None:
    lr.train(job(server, tmp_path))
    start, end = server.received
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    (model,) = end["outputs"]
    assert model["name"] == f"{tmp_path}/runs/job/model"
    assert set(model["facets"]["columnLineage"]["fields"]) == {"x0", "x1", "(intercept)"}
    assert end["inputs"][0]["facets"]["version"]["datasetVersion"]
    for event in (start, end):
        check(event)
    lr.train(job(server, tmp_path))
    assert len(server.received) == 2, "a run that has finished is not told again"


@pytest.mark.slow  # it loads torch
def test_a_run_that_fails_tells_it(server: Server, tmp_path: Path) -> None:
    diverges = {"name": "sgd", "epochs": 5, "learning_rate": 1e9, "early_stop": None}
    with pytest.raises(RunFailedError):
        lr.train(job(server, tmp_path, solver=diverges))
    assert [event["eventType"] for event in server.received] == ["START", "FAIL"]
    assert server.received[1]["run"]["facets"]["errorMessage"]["message"]


def test_a_lineage_server_that_is_down_fails_a_run_only_where_it_is_required(
    server: Server, tmp_path: Path
) -> None:
    server.close()
    run = lr.train(job(server, tmp_path))
    assert run.document.status == "succeeded"
    required = {"openlineage": {"url": server.url}, "required": True}
    with pytest.raises(StorageError, match="openlineage"):
        lr.train(job(server, tmp_path, name="other", tracking=required))


def test_a_password_in_its_url_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="an address with credentials in it"):
        load_spec(
            {
                "name": "a",
                "data": {"path": "/a", "target": "y"},
                "tracking": {"openlineage": {"url": "http://u:hunter2@host:5000"}},
            }
        )
