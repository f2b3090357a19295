"""One real head: what people do with `submit`, `status`, `logs`, `stop` and `list`."""

from __future__ import annotations

import dataclasses
import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from linreg_dist.cluster import JobServer, pack
from linreg_dist.cluster.follow import wait_for_end
from linreg_dist.cluster.submit import submit
from linreg_dist.jobspec import load_spec
from linreg_dist.verbs.train import train
from tests.cluster.heads import Head, running_head
from tests.parquet import linear_columns, write_parquet
from tests.parts import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


SECRET = {"LINREG_DIST_TEST_TOKEN": "hunter2"}


def write_job(folder: Path, name: str, more: str = "") -> str:
    file = folder / f"{name}.yaml"
    file.write_text(f"data: {{path: rows.parquet, target: y}}\nrun: {{storage_path: {folder}/runs}}\n{more}")
    return file.name


def status(head: Head, job: str) -> dict[str, Any]:
    done = head.cli("status", job, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_a_submitted_job_gives_the_numbers_of_a_local_one_and_is_sent_once(head: Head) -> None:
    spec = write_job(
        head.folder,
        "once",
        'cluster: {env: {TOKEN: "${LINREG_DIST_TEST_TOKEN}"}}\nscaling: {num_workers: 1}\n',
    )
    done = head.cli("submit", spec, "--json", **SECRET)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    local = train(
        {
            "name": "local",
            "data": {"path": str(head.folder / "rows.parquet"), "target": "y"},
            "run": {"storage_path": str(head.folder / "runs")},
        }
    )
    for split in ("train", "validation"):
        assert result["metrics"][split]["mse"] == pytest.approx(local.metrics[split]["mse"], rel=1e-12)
    assert result["num_workers"] == 1

    again = head.cli("submit", spec, "--json", **SECRET)
    assert (again.returncode, json.loads(again.stdout)) == (0, result)
    assert "once-1 is there already (SUCCEEDED)" in again.stderr

    document = status(head, "once")
    assert (document["job"], document["state"], document["exit_code"]) == ("once-1", "SUCCEEDED", 0)
    assert (document["progressPercentage"], document["estimatedRemainingSeconds"]) == (100.0, 0.0)
    assert document["metrics"]["train_mse"] == pytest.approx(result["metrics"]["train"]["mse"])

    log = head.cli("logs", "once-1")
    followed = head.cli("logs", "once-1", "-f")
    assert (log.returncode, followed.returncode) == (0, 0)
    assert '"status": "succeeded"' in log.stdout
    assert followed.stdout == log.stdout

    listed = json.loads(head.cli("list", "--json").stdout)["jobs"]
    assert [job["state"] for job in listed if job["name"] == "once"] == ["SUCCEEDED"]
    assert head.cli("stop", "once").stdout == "once-1: SUCCEEDED, before it was asked to stop\n"
    for path in (head.folder / "runs/once").rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


def test_the_exit_code_is_the_job_s(head: Head) -> None:
    spec = write_job(head.folder, "misfit")
    done = head.cli("submit", spec, "--set", "data.target=nothing_like_it", "--json")
    assert done.returncode == 3
    assert "nothing_like_it" in json.loads(done.stdout)["error"]["message"]
    assert status(head, "misfit")["state"] == "FAILED"
    assert head.cli("status", "no-such-job").returncode == 2


def test_a_running_job_can_be_left_refused_a_double_and_stopped(head: Head) -> None:
    spec = write_job(
        head.folder, "long", "solver: {name: sgd, epochs: 1000000, learning_rate: 1.0e-9, early_stop: null}\n"
    )
    sent = head.cli("submit", spec, "--no-wait")
    assert (sent.returncode, sent.stdout) == (0, "long-1\n"), sent.stderr
    wait_for(lambda: status(head, "long")["metrics"] is not None)
    document = status(head, "long")
    assert document["state"] == "RUNNING"
    assert 0.0 <= document["progressPercentage"] < 100.0

    with subprocess.Popen(
        head.command("submit", spec, "--verbose"),
        cwd=head.folder,
        env=head.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as follower:
        assert follower.stderr is not None
        assert "long-1 is there already (RUNNING)" in follower.stderr.readline()
        assert follower.stderr.readline(), "it follows: this comes from the job"
        follower.send_signal(signal.SIGINT)
        _, err = follower.communicate(timeout=30)
    assert follower.returncode == 130, err
    assert "long-1 goes on" in err
    assert "Traceback" not in err

    other = head.cli("submit", spec, "--set", "model.l2=0.5")
    assert other.returncode == 2
    assert "long-1 runs on this cluster under the same name with another spec" in other.stderr
    assert status(head, "long-1")["state"] == "RUNNING"

    stopped = head.cli("stop", "long")
    assert (stopped.returncode, stopped.stdout) == (0, "long-1: STOPPED\n")
    assert head.cli("submit", spec, "--no-wait").stdout == "long-2\n"
    assert head.cli("stop", "long").stdout == "long-2: STOPPED\n"


def test_the_package_travels_on_request(head: Head) -> None:
    spec = load_spec(head.folder / write_job(head.folder, "shipped"))
    shipment = dataclasses.replace(
        pack(spec, ship_package=True),
        entrypoint='python -c "import linreg_dist; print(linreg_dist.__file__)"',
    )
    server = JobServer(head.address)
    submission = submit(server, shipment)
    assert submission.is_new
    assert wait_for_end(server, submission.job.id).state == "SUCCEEDED"
    assert "py_modules_files" in server.logs(submission.job.id)


def test_token_authentication_works_on_a_head_without_its_environment_on_the_path(tmp_path: Path) -> None:
    write_parquet(tmp_path / "rows.parquet", linear_columns())
    spec = write_job(tmp_path, "guarded")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef" * 4}
    # As a service starts it: by the full path of its ray, with nothing of its environment on the PATH.
    with running_head(tmp_path, PATH="/usr/bin:/bin", **token) as head:
        for refused in (
            head.cli("submit", spec, "--json"),
            head.cli("list", "--json", **{**token, "RAY_AUTH_TOKEN": "fedcba9876543210" * 4}),
        ):
            assert refused.returncode == 4, refused.stderr
            (line,) = refused.stderr.splitlines()
            assert f"{head.address} refuses us" in line
            assert "RAY_AUTH_MODE=token" in line
            assert json.loads(refused.stdout)["error"]["type"] == "ClusterError"
        done = head.cli("submit", spec, "--json", "--set", "scaling.num_workers=1", **token)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["status"] == "succeeded"
