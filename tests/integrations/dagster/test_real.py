"""Jobs under a real Dagster and a real Ray: what a night may bring."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import numpy as np
import pytest

import linreg_dist as lr
from linreg_dist.cluster import JobServer
from tests.cluster.heads import Head, free_ports, running_head
from tests.integrations.dagster.orchestrator import Orchestrator, running_dagster
from tests.parquet import linear_columns, write_parquet
from tests.parts import wait_for
from tests.processes import descendants, kill, train_workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a real Dagster and a real head in each

MONTHS = Path(__file__).parents[3] / "jobs/data/flights"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data of all jobs; the fourth month's file is damaged."""
    write_parquet(tmp_path / "rows.parquet", linear_columns(num_rows=4000), row_group_size=500)
    for month in (1, 2, 3, 4):
        shutil.copytree(MONTHS / f"month={month}", tmp_path / f"flights/month={month}")
    file = tmp_path / "flights/month=4/part-0.parquet"
    file.write_bytes(file.read_bytes()[:-20])
    return tmp_path


@contextlib.contextmanager
def _head(folder: Path, port: int) -> Iterator[Head]:
    place = folder / f"head-{time.monotonic_ns()}"
    place.mkdir()
    with running_head(place, port=port) as head:
        yield head


def epochs(run: Path) -> list[str]:
    """Return the lines of the finished epochs of a run."""
    try:
        lines = (run / "metrics.jsonl").read_text().splitlines()
    except OSError:
        return []
    return [line for line in lines if line.startswith('{"epoch"') and line.endswith("}")]


def failures(dagster: Orchestrator, run_id: str) -> list[str]:
    found = []
    for entry in dagster.events(run_id):
        event = entry.dagster_event
        if event is not None and event.event_type_value == "STEP_FAILURE":
            data = event.step_failure_data
            found.append(str(data.user_failure_data.description if data.user_failure_data else data.error))
    return found


def kinds(dagster: Orchestrator, run_id: str) -> list[str]:
    return [entry.dagster_event.event_type_value for entry in dagster.events(run_id) if entry.dagster_event]


def test_three_months_are_the_whole_and_a_bad_one_fails_once_with_one_line(folder: Path) -> None:
    with running_dagster(folder / "home", LRD_FOLDER=str(folder)) as dagster:
        bad = dagster.launch("flights", "4")
        assert dagster.wait(bad) == "FAILURE"
        (message,) = failures(dagster, bad)
        assert "month=4/part-0.parquet cannot be read as Parquet" in message
        assert "\n" not in message
        assert "STEP_UP_FOR_RETRY" not in kinds(dagster, bad), "the data stays as it is"

        together = [dagster.launch("flights", month) for month in ("1", "2", "3")]  # they wait for each other
        assert [dagster.wait(run) for run in together] == ["SUCCESS"] * 3, dagster.log(together[-1])
        with dagster.instance() as instance:
            key = dg.AssetKey("flights")
            assert instance.get_materialized_partitions(key) == {"1", "2", "3"}
            event = instance.get_latest_materialization_event(key)
            assert event is not None
            assert event.asset_materialization is not None
            metadata = event.asset_materialization.metadata
            tags = event.asset_materialization.tags or {}
        assert metadata["files"].value == 3
        assert "dep\\_delay" in str(metadata["coefficients"].value)
        assert kinds(dagster, together[0]).count("ASSET_CHECK_EVALUATION") == 3

    run = json.loads((folder / "runs/flights/result.json").read_text())
    assert tags["dagster/data_version"] == run["data"]["digest"]
    shutil.rmtree(folder / "flights/month=4")
    whole = lr.train(
        {
            "name": "whole",
            "data": {
                "path": str(folder / "flights"),
                "target": "arr_delay",
                "features": ["dep_delay", "distance", "carrier", "origin"],
                "missing": "drop",
            },
            "outputs": {"report": False},
            "run": {"storage_path": str(folder / "runs")},
        }
    )
    months = lr.LinearModel.load(folder / "runs/flights")
    np.testing.assert_allclose(months.coef_, whole.model.coef_, rtol=1e-9)
    assert run["rows"] == whole.result["rows"]


def test_a_killed_worker_goes_unnoticed(folder: Path) -> None:
    (port,) = free_ports(1)
    with (
        _head(folder, port) as head,
        running_dagster(folder / "home", LRD_FOLDER=str(folder), LRD_HEAD=head.address) as dagster,
    ):
        run = dagster.launch("workers")
        wait_for(lambda: len(epochs(folder / "runs/workers")) > 10, 400)
        workers = train_workers()
        assert workers
        kill(workers)
        assert dagster.wait(run) == "SUCCESS", dagster.log(run)
        assert kinds(dagster, run).count("STEP_START") == 1
        assert f"{head.address}/#/jobs/workers-1" in str(
            [entry.dagster_event for entry in dagster.events(run)]
        )
    result = json.loads((folder / "runs/workers/result.json").read_text())
    assert result["worker_groups"] == [1, 1], "there was a second group"


def test_a_job_outlives_dagster_and_the_cluster_and_ends_when_it_is_cancelled(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (port,) = free_ports(1)
    address, home = f"http://127.0.0.1:{port}", folder / "home"
    environ = {"LRD_FOLDER": str(folder), "LRD_HEAD": address}
    run_folder = folder / "runs/endless"
    with contextlib.ExitStack() as lost:
        lost.enter_context(_head(folder, port))
        with running_dagster(home, **environ) as dagster:
            dagster.launch("endless")
            wait_for(lambda: len(epochs(run_folder)) > 10, 300)
            dagster.kill()
        assert JobServer(address).job("endless-1").state == "RUNNING"

        dagster = lost.enter_context(running_dagster(home, **environ))
        run = dagster.launch("endless")
        wait_for(lambda: "endless-1 is there already (RUNNING)" in dagster.log(run), 200)
        wait_for(lambda: any((run_folder / "checkpoints").glob("epoch*")))
        heads = [pid for pid in descendants() if b"ray" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        before = epochs(run_folder)
        for pid in heads:
            with contextlib.suppress(ProcessLookupError):
                if b"--head" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.killpg(pid, signal.SIGKILL)
        wait_for(lambda: "STEP_UP_FOR_RETRY" in kinds(dagster, run), 200)
        result = run_folder / "result.json"
        wait_for(result.exists, 100)  # of the driver, which trains on until it sees that its head is gone
        assert json.loads(result.read_text())["error"]["type"] == "ClusterError"
        reached = epochs(run_folder)

        with _head(folder, port):
            wait_for(lambda: "endless-1 sent to" in dagster.log(run), 300)
            wait_for(lambda: not result.exists() and len(epochs(run_folder)) > len(reached), 300)
            # A line has the seconds that its epoch took: those of before are there, and were not made again.
            kept = epochs(run_folder)
            assert kept[:10] == before[:10]
            assert dagster.status(run) == "STARTED"
            began = time.time()
            dagster.cancel(run)
            wait_for(lambda: JobServer(address).job("endless-1").state == "STOPPED", 60)
            ended = (JobServer(address).job("endless-1").ended_ms or 0) / 1000 - began
            written = result.stat().st_mtime - began
            with capsys.disabled():
                print(f"\ncancelled: its result after {written:.1f} s, the job ended after {ended:.1f} s")
            assert ended < 30, "10 s, and the time that asking takes on a busy machine"
            assert dagster.wait(run) == "CANCELED", dagster.log(run)
            dagster.process.terminate()
    assert json.loads(result.read_text())["status"] == "interrupted"
