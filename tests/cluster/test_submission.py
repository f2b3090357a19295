"""What is decided about jobs, on a job server that is a dict."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import click
import pytest

from linreg_dist.cli.jobs.submit import _detach_or_stop as detach_or_stop
from linreg_dist.cluster import Ending, Job, JobServer, Shipment, follow, job_error, job_server_address, pack
from linreg_dist.cluster import submit as send
from linreg_dist.cluster.interpreter import NOT_FOUND
from linreg_dist.cluster.log_lines import LogLines
from linreg_dist.cluster.server import DEFAULT_ADDRESS, JobExistsError
from linreg_dist.cluster.status import status_document
from linreg_dist.documents import ResultDocument
from linreg_dist.errors import (
    ClusterError,
    DataError,
    InterruptedRunError,
    RunFailedError,
    RunInUseError,
    SpecError,
)
from linreg_dist.jobspec import load_spec
from linreg_dist.wording.events import checked_event

TICK = {"progress": 0.25, "phase": "train", "of_epoch": 1, "eta_s": 30.0}
EPOCH = {"epoch": 0, "rows": 10, "train_mse": 2.0, "validation_mse": 3.0}
RESULT = {"status": "succeeded", "name": "job", "metrics": {"train": {"mse": 1.0, "rmse": 1.0}}}
LOG = f"hello\n{json.dumps(TICK)}\nwarning\n{json.dumps(EPOCH)}\n{json.dumps(RESULT, indent=2)}\nbye\n"

EVENTS = ["hello", checked_event(TICK), "warning", checked_event(EPOCH), "bye"]


class FakeServer:
    """Holds jobs and logs; `pieces` is what `tail` yields, where an exception is raised."""

    address = "http://fake"

    def __init__(self) -> None:
        self.known: dict[str, Job] = {}
        self.sent: list[tuple[str, dict[str, Any], str]] = []
        self.log = ""
        self.pieces: list[list[str | Exception]] = [[]]
        self.taken_first: Callable[[str], None] | None = None

    def as_server(self) -> JobServer:
        return cast(JobServer, self)

    def jobs(self) -> list[Job]:
        return list(self.known.values())

    def job(self, job_id: str) -> Job:
        return self.known[job_id]

    def submit(
        self, job_id: str, entrypoint: str, runtime_env: dict[str, Any], metadata: dict[str, str]
    ) -> None:
        if self.taken_first:
            self.taken_first(job_id)
            self.taken_first = None
        if job_id in self.known:
            raise JobExistsError(job_id)
        spec = Path(runtime_env["working_dir"], "job.yaml").read_text()
        self.sent.append((job_id, runtime_env["env_vars"], spec))
        self.known[job_id] = Job(job_id, "PENDING", metadata=metadata)

    def set(self, job_id: str, state: str) -> None:
        self.known[job_id] = dataclasses.replace(self.known[job_id], state=state)

    def logs(self, job_id: str) -> str:
        return self.log

    def tail(self, job_id: str) -> Iterator[str]:
        for piece in self.pieces.pop(0):
            if isinstance(piece, Exception):
                raise piece
            yield piece


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def shipment(job_file: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Shipment:
    monkeypatch.setenv("SECRET", "hunter2")
    return pack(load_spec(job_file("cluster: {env: {SECRET: '${SECRET}'}}\n")))


class TestSubmit:
    def test_the_spec_and_the_environment_are_sent(self, server: FakeServer, shipment: Shipment) -> None:
        submission = send(server.as_server(), shipment)
        assert (submission.job.id, submission.is_new) == ("job-1", True)
        assert server.sent == [("job-1", {"SECRET": "hunter2"}, shipment.spec_yaml)]

    @pytest.mark.parametrize("state", ["PENDING", "RUNNING", "SUCCEEDED"])
    def test_the_same_job_again_is_not_sent_again(
        self, state: str, server: FakeServer, shipment: Shipment
    ) -> None:
        send(server.as_server(), shipment)
        server.set("job-1", state)
        submission = send(server.as_server(), shipment)
        assert (submission.job.id, submission.job.state, submission.is_new) == ("job-1", state, False)
        assert len(server.sent) == 1

    @pytest.mark.parametrize("state", ["FAILED", "STOPPED"])
    def test_after_a_failure_the_next_attempt_is_sent(
        self, state: str, server: FakeServer, shipment: Shipment
    ) -> None:
        for attempt in range(1, 12):  # 10 comes after 9 as a number, and not as a text
            assert send(server.as_server(), shipment).job.id == f"job-{attempt}"
            server.set(f"job-{attempt}", state)

    def test_fresh_sends_again_what_has_succeeded(self, server: FakeServer, shipment: Shipment) -> None:
        send(server.as_server(), shipment)
        server.set("job-1", "SUCCEEDED")
        assert send(server.as_server(), shipment, fresh=True).job.id == "job-2"

    def test_another_spec_is_sent_after_one_that_succeeded(
        self, server: FakeServer, shipment: Shipment
    ) -> None:
        send(server.as_server(), shipment)
        server.set("job-1", "SUCCEEDED")
        other = dataclasses.replace(
            shipment, metadata={**shipment.metadata, "linreg_dist.spec_hash": "other"}
        )
        assert send(server.as_server(), other).job.id == "job-2"

    def test_what_may_find_other_data_is_sent_again_unless_the_same_request_asks(
        self, server: FakeServer, job_file: Callable[..., Path]
    ) -> None:
        spec = load_spec(job_file())
        night = pack(spec, if_changed="update", add=["day 1"])
        assert night.entrypoint.endswith("--json --progress jsonl --if-changed update --add 'day 1'")
        assert send(server.as_server(), night).job.id == "job-1"
        assert not send(server.as_server(), night).is_new, "it runs"
        server.set("job-1", "SUCCEEDED")
        assert send(server.as_server(), night).job.id == "job-2"
        server.set("job-2", "SUCCEEDED")
        asked = pack(spec, if_changed="update", add=["day 1"], request="run 7")
        assert send(server.as_server(), asked).job.id == "job-3"
        server.set("job-3", "SUCCEEDED")
        assert not send(server.as_server(), asked).is_new
        assert send(server.as_server(), pack(spec, request="run 8")).job.id == "job-4"

    def test_a_job_that_adds_other_data_is_waited_for(
        self, server: FakeServer, job_file: Callable[..., Path]
    ) -> None:
        spec = load_spec(job_file())
        send(server.as_server(), pack(spec, add=["day=1"]))
        with pytest.raises(RunInUseError, match="with other options"):
            send(server.as_server(), pack(spec, add=["day=2"]))

    @pytest.mark.parametrize(
        ("key", "fresh", "message"),
        [
            ("linreg_dist.spec_hash", False, "with another spec"),
            ("linreg_dist.run_folder", False, "with another run.storage_path"),
            (None, True, "--fresh would delete its run"),
        ],
    )
    def test_a_conflict_with_a_running_job_is_refused(
        self, key: str | None, fresh: bool, message: str, server: FakeServer, shipment: Shipment
    ) -> None:
        send(server.as_server(), shipment)
        metadata = {**shipment.metadata, **({key: "other"} if key else {})}
        with pytest.raises(SpecError, match=message):
            send(server.as_server(), dataclasses.replace(shipment, metadata=metadata), fresh=fresh)

    def test_of_two_at_the_same_time_one_is_sent(self, server: FakeServer, shipment: Shipment) -> None:
        def be_faster(job_id: str) -> None:
            server.known[job_id] = Job(job_id, "RUNNING", metadata=shipment.metadata)

        server.taken_first = be_faster
        submission = send(server.as_server(), shipment)
        assert (submission.job.id, submission.is_new, server.sent) == ("job-1", False, [])

    def test_an_id_that_a_stranger_holds_is_an_error(self, server: FakeServer, shipment: Shipment) -> None:
        class Blind(FakeServer):
            def jobs(self) -> list[Job]:
                return []

        blind = Blind()
        blind.known["job-1"] = Job("job-1", "RUNNING")
        with pytest.raises(ClusterError, match="says that job-1 exists, but does not list it"):
            send(blind.as_server(), shipment)


class TestLogLines:
    @pytest.mark.parametrize("size", [1, 7, 10_000])
    def test_events_text_and_result_are_told_apart_however_they_arrive(self, size: int) -> None:
        lines = LogLines()
        items = [item for start in range(0, len(LOG), size) for item in lines.feed(LOG[start : start + size])]
        assert items == EVENTS
        assert lines.result is not None
        assert lines.result.to_json() == RESULT
        assert [lines.tick, lines.epoch] == [checked_event(TICK), checked_event(EPOCH)]
        assert (list(lines.close()), lines.last_text) == ([], "bye")

    def test_an_error_document_on_one_line_is_the_result(self) -> None:
        lines = LogLines()
        assert list(lines.feed('{"status": "failed", "error": {"message": "x"}}\n')) == []
        assert lines.result is not None
        assert lines.result.to_json() == {"status": "failed", "error": {"message": "x"}}

    @pytest.mark.parametrize("text", ['{"a": 1}\n', "{not json}\n", "{\n  nothing\n}\n", '{\n  "a": 1\n}\n'])
    def test_what_only_looks_like_a_document_is_text(self, text: str) -> None:
        lines = LogLines()
        assert list(lines.feed(text)) == text.splitlines()
        assert lines.result is None

    def test_half_a_document_is_text_at_the_end(self) -> None:
        lines = LogLines()
        assert list(lines.feed('{\n  "a": 1')) == []
        assert list(lines.close()) == ["{", '  "a": 1']


class TestFollow:
    def run(self, server: FakeServer) -> tuple[Ending, list[Any]]:
        server.known.setdefault("job-1", Job("job-1", "SUCCEEDED"))
        seen: list[Any] = []
        ending = follow(
            server.as_server(), "job-1", on_event=seen.append, on_text=seen.append, look_every_s=0.0
        )
        return ending, seen

    def test_everything_is_handed_over_once(self, server: FakeServer) -> None:
        server.log = LOG
        server.pieces = [["", LOG[:10], LOG[10:]]]
        server.pieces[0].pop(0)
        ending, seen = self.run(server)
        assert seen == EVENTS
        assert ending.result is not None
        assert ending.result.to_json() == RESULT

    def test_a_lost_connection_is_made_again_and_nothing_repeated(self, server: FakeServer) -> None:
        server.log = LOG
        server.pieces = [
            [LOG[:20], ClusterError("lost")],
            [LOG[:5], ClusterError("lost again")],
            [LOG[:15], LOG[15:100], LOG[100:]],
        ]
        assert self.run(server)[1] == EVENTS

    def test_what_the_connection_left_out_is_fetched_at_the_end(self, server: FakeServer) -> None:
        server.log = LOG
        server.pieces = [[LOG[:50], "", "never reached"]]
        ending, seen = self.run(server)
        assert seen == EVENTS
        assert ending.result is not None
        assert ending.result.to_json() == RESULT

    def test_a_connection_that_stays_lost_is_an_error(self, server: FakeServer) -> None:
        server.pieces = [[ClusterError("lost")] for _ in range(6)]
        with pytest.raises(ClusterError, match="lost"):
            self.run(server)


class TestInterrupt:
    @pytest.fixture
    def stopped(self, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """A terminal with somebody at it; the list gets the ids of the jobs that are stopped."""
        calls: list[str] = []
        monkeypatch.setattr(server, "stop", calls.append, raising=False)
        for stream in ("stdin", "stderr"):
            monkeypatch.setattr(f"sys.{stream}.isatty", lambda: True)
        return calls

    @pytest.mark.parametrize(
        ("answer", "expected", "message"),
        [
            ("stop", ["job-1"], "job-1 was stopped"),
            ("detach", [], "job-1 goes on"),
            (click.Abort(), [], "job-1 goes on"),
        ],
    )
    def test_a_person_is_asked_what_an_interrupt_means(
        self,
        answer: str | Exception,
        expected: list[str],
        message: str,
        server: FakeServer,
        stopped: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def prompt(text: str, **_: Any) -> str:
            assert "Detach from it, or stop it?" in text
            if isinstance(answer, Exception):
                raise answer
            return answer

        monkeypatch.setattr(click, "prompt", prompt)
        with pytest.raises(InterruptedRunError, match=message):
            detach_or_stop(server.as_server(), "job-1")
        assert stopped == expected


class TestJobError:
    @pytest.mark.parametrize(
        ("code", "kind"),
        [(1, RunFailedError), (2, SpecError), (3, DataError), (4, ClusterError), (130, InterruptedRunError)],
    )
    def test_its_class_and_exit_code_are_those_of_the_job(self, code: int, kind: type[Exception]) -> None:
        result = {"status": "failed", "error": {"type": "UsageError", "message": "why", "exit_code": code}}
        error = job_error(Ending(Job("job-1", "FAILED", exit_code=code), ResultDocument.from_json(result)))
        assert type(error) is kind
        assert error.exit_code == code
        assert str(error) == "job-1 failed: why"

    def test_success_has_none_and_a_stop_is_an_interrupt(self) -> None:
        assert job_error(Ending(Job("job-1", "SUCCEEDED"), None)) is None
        assert isinstance(job_error(Ending(Job("job-1", "STOPPED"), None)), InterruptedRunError)

    def test_a_cluster_without_the_package_gets_its_remedy(self) -> None:
        error = job_error(
            Ending(Job("job-1", "FAILED", exit_code=127), None, f"{NOT_FOUND}python (there is none)")
        )
        assert isinstance(error, ClusterError)
        assert "asked: python (there is none). Install" in str(error)
        assert "use --ship-package" in str(error)

    def test_a_death_without_a_result_says_the_last_words(self) -> None:
        error = job_error(Ending(Job("job-1", "FAILED", "killed", exit_code=2), None, "last words"))
        assert type(error) is RunFailedError
        assert str(error) == "job-1 failed: killed (last words)"


class TestStatus:
    def job(self, tmp_path: Path, state: str) -> Job:
        return Job(
            "job-1", state, started_ms=1_000, metadata={"linreg_dist.run_folder": str(tmp_path / "run")}
        )

    def test_progress_comes_from_the_log(self, server: FakeServer, tmp_path: Path) -> None:
        server.log = LOG
        document = status_document(server.as_server(), self.job(tmp_path, "RUNNING")).to_json()
        assert document["progressPercentage"] == 25.0
        assert document["estimatedRemainingSeconds"] == 30.0
        assert (document["metrics"], document["result"]) == (EPOCH, None)

    def test_progress_comes_from_the_run_s_folder_where_it_is_seen(
        self, server: FakeServer, tmp_path: Path
    ) -> None:
        (tmp_path / "run").mkdir()
        (tmp_path / "run/metrics.jsonl").write_text(json.dumps(TICK | {"progress": 0.5}) + "\n")
        server.log = LOG
        job = self.job(tmp_path, "RUNNING")
        assert status_document(server.as_server(), job).to_json()["progressPercentage"] == 50.0
        older = dataclasses.replace(job, started_ms=int(time.time() * 1000) + 60_000)
        assert status_document(server.as_server(), older).to_json()["progressPercentage"] == 25.0
        os.utime(tmp_path / "run/metrics.jsonl", (0, 0))
        assert status_document(server.as_server(), job).to_json()["progressPercentage"] == 25.0

    def test_an_ended_job_has_its_result_and_nothing_left(self, server: FakeServer, tmp_path: Path) -> None:
        server.log = LOG
        document = status_document(server.as_server(), self.job(tmp_path, "SUCCEEDED")).to_json()
        assert (document["progressPercentage"], document["estimatedRemainingSeconds"]) == (100.0, 0.0)
        assert document["result"] == RESULT
        failed = status_document(server.as_server(), self.job(tmp_path, "FAILED")).to_json()
        assert (failed["progressPercentage"], failed["estimatedRemainingSeconds"]) == (25.0, None)

    def test_a_job_that_waits_has_nothing_to_show(self, server: FakeServer, tmp_path: Path) -> None:
        document = status_document(server.as_server(), self.job(tmp_path, "PENDING")).to_json()
        assert (document["state"], document["progressPercentage"], document["metrics"]) == (
            "PENDING",
            None,
            None,
        )


class TestAddress:
    @pytest.mark.parametrize(
        ("given", "environ", "expected"),
        [
            (None, {}, DEFAULT_ADDRESS),
            ("auto", {}, DEFAULT_ADDRESS),
            (None, {"RAY_ADDRESS": "10.0.0.1:6379"}, DEFAULT_ADDRESS),
            (None, {"RAY_ADDRESS": "http://a:1"}, "http://a:1"),
            (None, {"RAY_ADDRESS": "http://a:1", "RAY_API_SERVER_ADDRESS": "https://b/"}, "https://b"),
            ("http://c:2/", {"RAY_API_SERVER_ADDRESS": "http://b"}, "http://c:2"),
        ],
    )
    def test_what_was_given_wins_over_the_environment(
        self, given: str | None, environ: dict[str, str], expected: str
    ) -> None:
        assert job_server_address(given, environ) == expected
