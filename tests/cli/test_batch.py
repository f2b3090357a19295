from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from linreg_dist.cli import main as cli_main
from linreg_dist.jobspec import JobSpec, expand_matrix, load_spec
from linreg_dist.verbs import batch as batch_module
from linreg_dist.verbs.batch import Batch, run_batch
from tests.parquet import linear_columns, write_parquet
from tests.parts import wait_for

Call = Callable[..., tuple[int, str, str]]

MATRIX = """\
name: sweep
data: {path: rows.parquet, target: y}
matrix: {model.l2: [0.0, 0.5]}
"""


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command line beside rows.parquet and sweep.yaml; return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    write_parquet(Path("rows.parquet"), linear_columns())
    Path("sweep.yaml").write_text(MATRIX)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = cli_main.run(arguments)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def jobs(call: Call) -> list[JobSpec]:
    return expand_matrix(load_spec("sweep.yaml", ["matrix={model.l2: [0.0, 0.1, 0.2, 0.3]}"]))


@pytest.fixture
def instead_of_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that puts a shell script in the place of ``python -m linreg_dist train FILE --json``.

    In the script ``$spec`` is the spec file.
    """

    def put(script: str) -> None:
        program = tmp_path / "fake-python"
        program.write_text(f'#!/bin/sh\nspec="$4"\n{script}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setattr(batch_module.sys, "executable", str(program))

    return put


@pytest.mark.slow
class TestWithRealJobs:
    def test_one_failure_does_not_stop_the_rest_and_resume_runs_only_what_is_unfinished(
        self, call: Call
    ) -> None:
        Path("broken.yaml").write_text("name: broken\ndata: {path: rows.parquet, target: nothing_like_it}\n")
        code, out, err = call("batch", "broken.yaml", "sweep.yaml", "--json", "--max-concurrent", "3")
        document = json.loads(out)
        assert code == 1
        assert (document["status"], document["counts"]) == ("failed", {"failed": 1, "succeeded": 2})
        broken, *sweep = document["jobs"]
        assert (broken["name"], broken["exit_code"]) == ("broken", 3)
        assert "nothing_like_it" in broken["result"]["error"]["message"]
        assert [job["name"] for job in sweep] == ["sweep-l2_0.0", "sweep-l2_0.5"]
        assert all(
            job["ran"]
            and job["result"]["metrics"]["train"]["r2"] > 0.5
            and Path(job["result"]["model"]).is_dir()
            for job in sweep
        )
        assert sum(line.startswith("[") for line in err.splitlines()) == 3

        Path("broken.yaml").write_text("name: broken\ndata: {path: rows.parquet, target: y}\n")
        code, out, _ = call("batch", "broken.yaml", "sweep.yaml", "--resume", "--json", "-q")
        document = json.loads(out)
        assert (code, document["status"]) == (0, "succeeded")
        assert [(job["ran"], job["exit_code"]) for job in document["jobs"]] == [
            (True, 0),
            (False, None),
            (False, None),
        ]
        assert [job["result"] for job in document["jobs"][1:]] == [job["result"] for job in sweep]

        code, out, _ = call("batch", "sweep.yaml", "--resume", "-q")
        assert code == 0
        assert "2 jobs: 2 succeeded" in out
        assert out.count("before") == 2

        code, out, _ = call("batch", "sweep.yaml", "--resume", "--json", "-q", "--set", "data.exclude=[x0]")
        assert code == 1  # finished runs of another spec are no reason to skip: `train` refuses them
        assert all("another spec" in job["result"]["error"]["message"] for job in json.loads(out)["jobs"])


class TestProcesses:
    def test_no_more_jobs_run_at_a_time_than_asked_for(
        self, jobs: list[JobSpec], instead_of_train: Callable[[str], None], tmp_path: Path
    ) -> None:
        marks = tmp_path / "marks"
        marks.mkdir()
        instead_of_train(
            f'touch {marks}/$$; ls {marks} | wc -l >> {tmp_path}/seen; sleep 0.3; rm {marks}/$$; echo "{{}}"'
        )
        assert run_batch(jobs, max_concurrent=2).exit_code == 0
        seen = [int(line) for line in (tmp_path / "seen").read_text().split()]
        assert (len(seen), max(seen)) == (4, 2)

    @pytest.mark.parametrize(
        ("script", "code", "message"),
        [
            ("kill -9 $$", -9, "its process was ended by SIGKILL; the kernel does that when memory runs out"),
            (
                'echo "first" >&2; echo "the last words" >&2; exit 7',
                7,
                "its process ended with exit code 7 and no result: the last words",
            ),
            ("echo this is no JSON", 0, "its process ended with exit code 0 and no result"),
        ],
    )
    def test_a_process_that_dies_without_a_result_is_a_failure_that_says_how(
        self,
        script: str,
        code: int,
        message: str,
        jobs: list[JobSpec],
        instead_of_train: Callable[[str], None],
    ) -> None:
        instead_of_train(script)
        (outcome,) = run_batch(jobs[:1]).jobs
        assert (outcome.status, outcome.exit_code, outcome.error) == ("failed", code, message)

    def test_a_job_whose_folder_cannot_be_used_fails_alone(
        self, jobs: list[JobSpec], instead_of_train: Callable[[str], None]
    ) -> None:
        instead_of_train('echo "{}"')
        Path("runs").mkdir()
        Path("runs", jobs[0].name).write_text("not a folder")
        first, second = run_batch(jobs[:2]).jobs
        assert (first.status, second.status) == ("failed", "succeeded")
        assert "the job could not be started" in str(first.error)

    def test_secrets_reach_a_job_through_the_environment_and_no_file(
        self,
        call: Call,
        instead_of_train: Callable[[str], None],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        monkeypatch.setenv("LINREG_DIST_TEST_TOKEN", "hunter2")
        job = load_spec("sweep.yaml", ["matrix=null", "cluster.env.T=${LINREG_DIST_TEST_TOKEN}"])
        instead_of_train(
            f'cp "$spec" {tmp_path}/spec; printf "{{\\"token\\": \\"$LINREG_DIST_TEST_TOKEN\\"}}"'
        )
        (outcome,) = run_batch([job]).jobs
        assert outcome.result.to_json() == {"token": "hunter2"}
        written = (tmp_path / "spec").read_text()
        assert "${LINREG_DIST_TEST_TOKEN}" in written
        assert "hunter2" not in written

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_an_interrupt_reaches_what_runs_and_starts_nothing_else(
        self,
        number: signal.Signals,
        jobs: list[JobSpec],
        instead_of_train: Callable[[str], None],
        tmp_path: Path,
    ) -> None:
        (tmp_path / "words").write_text('{"error": {"message": "stopped", "exit_code": 130}}')
        instead_of_train(
            f"trap 'cat {tmp_path}/words; exit 130' INT\ntouch {tmp_path}/begun\nwhile :; do sleep 0.05; done"
        )

        def interrupt() -> None:
            wait_for((tmp_path / "begun").exists)
            os.kill(os.getpid(), number)

        thread = threading.Thread(target=interrupt)
        thread.start()
        result = run_batch(jobs)
        thread.join()
        assert [job.status for job in result.jobs] == ["interrupted", *["not started"] * 3]
        assert (result.status, result.exit_code, result.jobs[0].error) == ("interrupted", 130, "stopped")

    def test_a_second_interrupt_kills_a_job_that_does_not_stop(
        self, jobs: list[JobSpec], instead_of_train: Callable[[str], None], tmp_path: Path
    ) -> None:
        instead_of_train(
            f"trap 'touch {tmp_path}/asked' INT\ntouch {tmp_path}/begun\nwhile :; do sleep 0.05; done"
        )

        def interrupt() -> None:
            for name in ("begun", "asked"):
                wait_for((tmp_path / name).exists)
                os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        outcome = run_batch(jobs[:1]).jobs[0]
        thread.join()
        assert outcome.exit_code == -signal.SIGKILL


class TestCommandLine:
    def test_every_spec_is_checked_before_any_job_starts(
        self, call: Call, instead_of_train: Callable[[str], None], tmp_path: Path
    ) -> None:
        instead_of_train(f"touch {tmp_path}/started")
        Path("a.yaml").write_text("data: {path: x}\n")
        Path("b.yaml").write_text("data: {path: x, target: y}\nmodle: {}\n")
        code, out, err = call("batch", "sweep.yaml", "a.yaml", "b.yaml")
        assert (code, out) == (2, "")
        assert [line.partition(":")[0] for line in err.splitlines()] == ["a.yaml", "b.yaml"]
        assert not (tmp_path / "started").exists()

    def test_two_jobs_on_one_folder_are_refused(self, call: Call) -> None:
        code, _, err = call("batch", "sweep.yaml", "sweep.yaml")
        assert code == 2
        assert "several jobs of this batch would write to" in err

    def test_fresh_and_resume_exclude_each_other(self, call: Call) -> None:
        assert call("batch", "sweep.yaml", "--fresh", "--resume")[0] == 2

    def test_dry_run_lists_the_jobs(self, call: Call) -> None:
        code, out, _ = call("batch", "sweep.yaml", "--dry-run")
        assert code == 0
        assert out.split()[-2:] == ["sweep-l2_0.0", "sweep-l2_0.5"]
        assert json.loads(call("batch", "sweep.yaml", "--dry-run", "--json")[1])["jobs"] == [
            "sweep-l2_0.0",
            "sweep-l2_0.5",
        ]

    def test_an_interrupted_batch_is_130_and_still_prints_its_table(
        self, call: Call, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(jobs: list[JobSpec], **_: Any) -> Batch:
            return Batch(
                tuple(
                    batch_module.JobOutcome(
                        name=job.name,
                        status="not started",
                        ran=False,
                        exit_code=None,
                        seconds=0.0,
                        result=None,
                    )
                    for job in jobs
                )
            )

        monkeypatch.setattr(batch_module, "run_batch", interrupted)
        code, out, _ = call("batch", "sweep.yaml")
        assert code == 130
        assert "2 jobs: 2 not started" in out


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "linreg_dist", "--version"], capture_output=True, check=True)
    assert done.stdout.startswith(b"linreg-dist ")
