"""The operators in a whole Airflow, against a whole Ray: what a person who uses both relies on.

Each test starts jobs that train for seconds to minutes; `make test-integrations-airflow` runs them.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pyarrow.parquet as pq
import pytest

import linreg_dist as lr
from linreg_dist.integrations.airflow.provider import get_provider_info
from linreg_dist.integrations.airflow.templates import as_run_name
from tests.cluster.heads import running_head
from tests.integrations.airflow.conftest import Cluster, Protected
from tests.integrations.airflow.stack import Airflow, take_picture, wait_for
from tests.processes import kill, train_workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a whole Airflow and a Ray, and jobs of a minute


PICTURE = "AIRFLOW_PICTURE"
"""Names a file for the picture of the documentation: AIRFLOW_PICTURE=docs/airflow.png."""

DOCS = Path(__file__).parents[3] / "docs/airflow.md"


def epochs_of(run: Path) -> Counter[int]:
    """Return how often each epoch was trained, over all attempts."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return Counter(line["epoch"] for line in lines if "epoch" in line)


def test_three_months_are_trained_as_mapped_tasks_and_the_model_is_used_downstream(
    airflow: Airflow, cluster: Cluster, runs: Path
) -> None:
    run = airflow.trigger("months")
    assert run.ended(600) == "success", run.log(map_index=0)
    results = [run.xcom(map_index=index) for index in range(3)]
    assert [result["name"] for result in results] == [f"flights-2013-0{month}" for month in (1, 2, 3)]
    assert len({result["rows"]["train"] for result in results}) == 3, "each month has rows of its own"
    assert all(result["metrics"]["validation"]["r2"] > 0.7 for result in results)
    assert run.xcom("evaluate")["metrics"]["r2"] > 0.7
    written = run.xcom("predict")
    assert pq.read_table(written["output"], columns=["prediction", "flight"]).num_rows == written["rows"]
    links = run.links(map_index=1)
    assert links["Report"] == f"file://{runs}/flights-2013-02/report.html"
    assert links["Ray job"].startswith(f"{cluster.address}/#/jobs/flights-2013-02-")
    assert re.search(r"flights-2013-01-\d: SUCCEEDED", run.log(map_index=0))
    if PICTURE in os.environ:
        take_picture(f"{airflow.url}/dags/months/runs/{run.run_id}", Path(os.environ[PICTURE]))


def test_nightly_months_grow_one_model_and_a_bad_one_fails_once_with_one_line(
    airflow: Airflow, runs: Path, nights: Path
) -> None:
    run = airflow.trigger("nightly")
    assert run.ended(800) == "failed"
    tasks = [run.task(map_index=index) for index in range(4)]
    assert [task["state"] for task in tasks] == ["success"] * 3 + ["failed"]
    assert [task["try_number"] for task in tasks] == [1] * 4, "each was tried once, the bad one too"
    assert [run.xcom(map_index=index)["data"]["files"] for index in range(3)] == [1, 2, 3]
    log = run.log(map_index=3)
    assert "AirflowFailException" in log
    (line,) = {
        line["event"]
        for line in (json.loads(text) for text in log.splitlines() if text.startswith("{"))
        if "month=4/part-0.parquet cannot be read as Parquet" in str(line.get("event"))
        and line.get("level") == "error"
    }
    assert "\n" not in line

    shutil.rmtree(nights / "month=4")
    months = lr.LinearModel.load(runs / "nightly")
    spec: dict[str, Any] = {
        "name": "at-once",
        "data": {
            "path": str(nights),
            "target": "arr_delay",
            "features": ["dep_delay", "distance", "hour", "carrier"],
            "missing": "drop",
        },
        "outputs": {"report": False},
        "run": {"storage_path": str(runs)},
    }
    np.testing.assert_allclose(months.coef_, lr.train(spec).model.coef_, rtol=1e-9)


def test_a_cluster_with_a_token_lets_in_who_has_it_and_tells_who_has_not(
    airflow: Airflow, protected: Protected, tmp_path: Path
) -> None:
    with running_head(tmp_path, port=protected.port, **protected.environ):
        wrong = airflow.trigger("protected", conn_id="linreg_wrong")
        wrong.wait("up_for_retry", "failed")
        assert "refuses us" in wrong.log()
        wrong.mark("failed")
        run = airflow.trigger("protected", conn_id="linreg_token")
        assert run.ended(300) == "success", run.log()
    assert run.xcom()["rows"]["train"] > 10_000
    for said in (wrong.log(attempt=1), run.log()):
        assert protected.token not in said
        assert "fedcba9876543210" not in said


def test_data_that_does_not_fit_fails_with_one_line_and_is_not_retried(airflow: Airflow) -> None:
    run = airflow.trigger("one", target="no_such_column")
    assert run.ended() == "failed"
    assert run.task()["try_number"] == 1
    assert "no column 'no_such_column' (target)" in run.log()
    assert "AirflowFailException" in run.log()


def test_a_wrong_spec_is_refused_before_anything_is_sent(airflow: Airflow, cluster: Cluster) -> None:
    run = airflow.trigger("one", epochs=-1)
    assert run.ended() == "failed"
    assert run.task()["try_number"] == 1
    assert "solver.epochs" in run.log()
    assert as_run_name(f"one-{run.run_id}") not in {job.name for job in cluster.server.jobs()}


def test_marking_a_task_as_failed_stops_its_job_within_seconds(
    airflow: Airflow, cluster: Cluster, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = airflow.trigger("one")
    job_id = cluster.job_of(run)
    assert run.state() == "deferred", "no worker is held while the job runs"
    assert run.links()["Ray job"] == f"{cluster.address}/#/jobs/{job_id}"
    began = time.time()
    run.mark("failed")
    job = cluster.wait(job_id, "STOPPED", within_s=60)
    result = runs / job_id.rpartition("-")[0] / "result.json"
    ended = (job.ended_ms or 0) / 1000
    with capsys.disabled():
        written = result.stat().st_mtime - began
        print(
            f"\nmarked as failed: its result after {written:.1f} s, the job ended after {ended - began:.1f} s"
        )
    # The promise is 10 s. The rest is for a machine that has more to do than this.
    assert ended - began < 30
    assert json.loads(result.read_text())["status"] == "interrupted"
    assert "invoking on_kill" in run.log()


def test_a_trigger_that_is_cancelled_twice_stops_its_job_nevertheless() -> None:
    from linreg_dist.integrations.airflow.trigger import JobTrigger

    told: list[str] = []

    class Watch:
        def stop(self) -> None:
            told.append("stop")

    trigger = JobTrigger("ray", "job-1")

    async def slow_watch() -> Any:
        await asyncio.sleep(0.05)
        return Watch()

    trigger._make_watch = slow_watch  # type: ignore[method-assign]  # as a connection that takes its time

    async def cancelled_twice() -> None:
        task = asyncio.ensure_future(trigger.on_kill())
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.sleep(0.2)

    asyncio.run(cancelled_twice())
    assert told == ["stop"]


def test_a_task_that_is_cleared_while_it_runs_goes_on_where_it_was(
    airflow: Airflow, cluster: Cluster, runs: Path
) -> None:
    run = airflow.trigger("one", epochs=1500)
    job_id = cluster.job_of(run)
    folder = runs / job_id.rpartition("-")[0]
    wait_for(lambda: list((folder / "checkpoints").glob("epoch*")) or None, "a checkpoint")
    run.clear()
    cluster.wait(job_id, "STOPPED", within_s=60)
    reached = max(epochs_of(folder))
    assert run.ended(400) == "success", run.log()
    assert run.xcom(key="job_id") != job_id
    trained = epochs_of(folder)
    assert trained[0] == 1, "it did not start over"
    assert sum(trained.values()) <= 1500 + reached
    assert run.xcom()["solver"]["epochs"] == 1500


def test_a_worker_of_airflow_that_is_killed_is_replaced_and_the_job_goes_on(
    airflow: Airflow, cluster: Cluster, runs: Path
) -> None:
    run = airflow.trigger("waits", epochs=1500)
    job_id = cluster.job_of(run)
    assert run.state() == "running"
    kill([run.task()["pid"]])
    assert run.ended(500) == "success", run.log()
    assert run.task()["try_number"] == 2
    assert f"{job_id} is there already" in run.log()
    name = job_id.rpartition("-")[0]
    assert [job.id for job in cluster.server.jobs() if job.name == name] == [job_id], "it was sent once"
    assert set(epochs_of(runs / name).values()) == {1}


def test_triggerer_and_scheduler_may_be_killed_and_the_job_goes_on(
    airflow: Airflow, cluster: Cluster, runs: Path
) -> None:
    run = airflow.trigger("one", epochs=1000)
    job_id = cluster.job_of(run)
    for component in ("triggerer", "scheduler"):
        airflow.kill(component)
    assert cluster.server.job(job_id).state == "RUNNING"
    airflow.start("triggerer", "scheduler")
    assert run.ended(400) == "success", run.log()
    assert run.task()["try_number"] == 1
    jobs = [job.id for job in cluster.server.jobs() if job.name == job_id.rpartition("-")[0]]
    assert jobs == [job_id], "it was sent once"
    assert set(epochs_of(runs / job_id.rpartition("-")[0]).values()) == {1}


def test_a_killed_worker_of_the_job_goes_unnoticed(airflow: Airflow, cluster: Cluster) -> None:
    run = airflow.trigger("one", epochs=300, workers=2, batch=1024)  # two workers meet at every step
    job_id = cluster.job_of(run)
    kill(train_workers()[:1])
    assert run.ended(400) == "success", run.log()
    assert run.task()["try_number"] == 1
    result = run.xcom()
    assert result["worker_groups"] == [2, 2], "a second group of workers was started"
    assert job_id in run.log()


def test_a_job_that_waits_in_a_worker_is_stopped_with_it(airflow: Airflow, cluster: Cluster) -> None:
    run = airflow.trigger("waits")
    job_id = cluster.job_of(run)
    assert run.state() == "running"
    run.mark("failed")
    cluster.wait(job_id, "STOPPED", within_s=40)


def test_a_job_that_takes_too_long_is_stopped(airflow: Airflow, cluster: Cluster) -> None:
    run = airflow.trigger("limited")
    assert run.ended(300) == "failed"
    cluster.wait(str(run.xcom(key="job_id")), "STOPPED", within_s=40)


def test_without_a_connection_it_runs_in_a_process_of_the_worker(airflow: Airflow, runs: Path) -> None:
    run = airflow.trigger("here", epochs=20)
    assert run.ended(300) == "success", run.log()
    assert run.xcom()["solver"]["epochs"] == 20
    assert "train MSE" in run.log()
    endless = airflow.trigger("here")
    wait_for(lambda: "train MSE" in endless.log() or None, "it trains", 200)
    endless.mark("failed")
    (folder,) = [each for each in runs.glob("here-*") if not (each / "model").exists()]
    result = wait_for(
        lambda: (folder / "result.json").exists() and json.loads((folder / "result.json").read_text()),
        "a result",
    )
    assert result["status"] == "interrupted"


def test_a_lost_cluster_is_retried_and_the_job_continues(
    airflow: Airflow, cluster: Cluster, runs: Path
) -> None:
    run = airflow.trigger("one", epochs=1500)
    job_id = cluster.job_of(run)
    folder = runs / job_id.rpartition("-")[0]
    wait_for(lambda: list((folder / "checkpoints").glob("epoch*")) or None, "a checkpoint")
    cluster.lose()
    reached = max(epochs_of(folder))
    time.sleep(8)  # longer than the trigger's patience
    cluster.start()
    assert run.ended(600) == "success", run.log()
    assert run.task()["try_number"] > 1
    trained = epochs_of(folder)
    assert trained[0] == 1, "it did not start over"
    assert sum(trained.values()) <= 1500 + reached, "what was done before is not done again"
    assert run.xcom()["solver"]["epochs"] == 1500


def test_the_dag_of_the_documentation_is_one() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), flags=re.MULTILINE | re.DOTALL)
    assert len(code.splitlines()) <= 20
    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102 (our own page)
    (dag,) = [value for value in names.values() if isinstance(value, names["DAG"])]
    (task,) = dag.tasks
    assert task.retries == 3
    assert {"conn_id", "spec", "overrides", "run_name"} <= set(task.template_fields)


def test_reading_a_dag_loads_none_of_what_does_the_work() -> None:
    program = (
        "import sys\n"
        "from linreg_dist.integrations.airflow import LinregTrainOperator\n"
        "LinregTrainOperator(task_id='train', conn_id='ray', spec={'name': 'a'})\n"
        "loaded = {'torch', 'ray', 'pyarrow', 'numpy', 'scipy', 'linreg_dist.cluster', 'linreg_dist.run'}\n"
        "print(*loaded & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_an_exit_code_means_to_a_retry() -> None:
    from airflow.sdk.exceptions import AirflowException, AirflowFailException

    from linreg_dist import errors
    from linreg_dist.integrations.airflow.failures import as_airflow

    kinds = {
        errors.RunFailedError: AirflowException,
        errors.RunInUseError: AirflowException,
        errors.ClusterError: AirflowException,
        errors.StorageError: AirflowException,
        errors.SpecError: AirflowFailException,
        errors.DataError: AirflowFailException,
        errors.InterruptedRunError: AirflowFailException,
    }
    for kind, expected in kinds.items():
        found = as_airflow(kind("first\n  second"))
        assert type(found) is expected, kind
        assert str(found) == "first second"


def test_airflow_finds_the_connection_type_and_its_form(airflow: Airflow) -> None:
    import airflow as installed

    schema = json.loads((Path(installed.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)
    assert "linreg-dist" in airflow.cli("providers", "list")
    hooks = json.loads(airflow.cli("providers", "hooks", "--output", "json"))
    (ours,) = [each for each in hooks if each["connection_type"] == "linreg_ray"]
    assert ours["class"].endswith("LinregRayHook"), ours
    forms = airflow.request("GET", "/ui/connections/hook_meta")
    (form,) = [each for each in forms if each["connection_type"] == "linreg_ray"]
    assert form["standard_fields"]["password"]["title"] == "Token"
    assert set(form["extra_fields"]) == {"ca_bundle", "report_url"}
