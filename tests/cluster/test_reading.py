"""`status` and `list` ask a job server without Ray; its refusals and absences are told as ever."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from linreg_dist.cluster.server import JobServer
from linreg_dist.cluster.shipment import METADATA_NAME
from linreg_dist.errors import ClusterError, SpecError

TOKEN = "0123456789abcdef" * 4
JOB = {
    "submission_id": "flights-1",
    "status": "SUCCEEDED",
    "message": "Job finished successfully.",
    "start_time": 1_700_000_000_000,
    "end_time": 1_700_000_060_000,
    "driver_exit_code": 0,
    "metadata": {METADATA_NAME: "flights"},
    "something_of_a_later_ray": 1,
}
ANSWERS = {
    "/api/version": {"ray_version": "2.50.0"},
    "/api/jobs/": [JOB, {"submission_id": None, "job_id": "01000000", "status": "RUNNING", "metadata": {}}],
    "/api/jobs/flights-1": JOB,
    "/api/jobs/flights-1/logs": {"logs": "done"},
}


class Head(BaseHTTPRequestHandler):
    """Answers as Ray's dashboard does; its server may ask for a token, or be something else."""

    def do_GET(self) -> None:
        guarded, answers = self.server.guarded, self.server.answers  # type: ignore[attr-defined]
        status, text = 200, "null"
        if guarded and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            status, text = 401, "Unauthorized: Missing authentication token"
        elif self.path in answers:
            text = json.dumps(answers[self.path])
        else:
            status, text = 404, f"Job {self.path} does not exist"
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def head() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Head)
    server.guarded, server.answers = False, ANSWERS  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def address(head: ThreadingHTTPServer) -> str:
    return f"http://127.0.0.1:{head.server_address[1]}"


def test_a_job_is_found_by_its_id_and_by_its_name(head: ThreadingHTTPServer) -> None:
    server = JobServer(address(head))
    for name in ("flights-1", "flights"):
        job = server.find(name)
        assert (job.id, job.state, job.exit_code, job.name) == ("flights-1", "SUCCEEDED", 0, "flights")
    assert [job.id for job in server.jobs()] == ["flights-1"]
    assert server.logs("flights-1") == "done"
    with pytest.raises(SpecError, match="there is no such job"):
        server.find("other")


def test_the_token_is_taken_from_where_ray_takes_it(
    head: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    head.guarded = True  # type: ignore[attr-defined]
    with pytest.raises(ClusterError, match=r"refuses us: Unauthorized.*; set RAY_AUTH_MODE=token"):
        JobServer(address(head))
    assert JobServer(address(head), token=TOKEN).job("flights-1").state == "SUCCEEDED"
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    for variable, value in (("RAY_AUTH_TOKEN_PATH", str(tmp_path / "token")), ("RAY_AUTH_TOKEN", TOKEN)):
        with monkeypatch.context() as patch:
            patch.setenv(variable, value)
            assert JobServer(address(head)).job("flights-1").state == "SUCCEEDED"


@pytest.mark.parametrize("answers", [{}, {"/api/version": [1]}, {"/api/version": "hello"}])
def test_what_is_no_job_server_is_told_so(head: ThreadingHTTPServer, answers: dict[str, object]) -> None:
    head.answers = answers  # type: ignore[attr-defined]
    with pytest.raises(ClusterError, match="is no job server of a Ray that this version knows"):
        JobServer(address(head))


@pytest.mark.parametrize("verb", [["status", "flights"], ["list"]])
def test_neither_torch_nor_ray_is_loaded(head: ThreadingHTTPServer, verb: list[str]) -> None:
    program = """
import sys
from linreg_dist.cli.main import main
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
print(*({"torch", "ray", "pandas"} & set(sys.modules)), file=sys.stderr)
"""
    command = [sys.executable, "-c", program, *verb, "--address", address(head)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "flights-1" in ran.stdout
    assert "SUCCEEDED" in ran.stdout
    assert ran.stderr.strip() == ""
