"""The token of a cluster as it reaches the job server: in a header, whatever the environment says."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator

import pytest

from linreg_dist.cluster import JobServer
from linreg_dist.errors import ClusterError

GIVEN = "a-token-of-some-cluster-0123456789"


class Recorder(http.server.ThreadingHTTPServer):
    """Answers as a job server without jobs, to those with the token alone."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append(self.headers["Authorization"])
                allowed = self.headers["Authorization"] == f"Bearer {GIVEN}"
                version = {"version": "4", "ray_version": "2.60.0", "ray_commit": "x", "session_name": "s"}
                body = json.dumps(version if self.path.startswith("/api/version") else []).encode()
                self.send_response(200 if allowed else 401)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Keep quiet."""

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_a_token_that_is_given_is_sent_with_every_request(recorder: Recorder) -> None:
    server = JobServer(f"http://127.0.0.1:{recorder.server_port}", token=GIVEN)
    assert server.jobs() == []
    assert set(recorder.seen) == {f"Bearer {GIVEN}"}
    assert len(recorder.seen) >= 2


def test_without_the_token_it_is_refused_and_the_token_is_not_in_the_message(recorder: Recorder) -> None:
    address = f"http://127.0.0.1:{recorder.server_port}"
    with pytest.raises(ClusterError, match="refuses us"):
        JobServer(address)
    wrong = "another-token-0123456789"
    with pytest.raises(ClusterError) as refused:
        JobServer(address, token=wrong)
    assert wrong not in str(refused.value)
