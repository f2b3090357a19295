"""Ray's workers read and write S3 themselves, each with the credentials of its own environment."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import linreg_dist as lr
from linreg_dist.run.folder import RunFolder
from tests.cluster.heads import Head, running_head
from tests.local_ray import start_local_ray
from tests.parts import write_parts
from tests.storage.conftest import SECRET, Store, environment
from tests.storage.s3_proxy import Fault, S3Proxy
from tests.storage.test_runs import SGD, spec_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def ray_with_s3(s3_proxy: S3Proxy) -> Iterator[None]:
    """One local Ray whose processes find the store in their environment."""
    import ray

    ray.shutdown()  # of tests before these, whose processes do not know the store
    start_local_ray(runtime_env={"env_vars": {**environment(s3_proxy), "LINREG_DIST_STORAGE_RETRY_S": "1"}})
    yield
    ray.shutdown()


@pytest.mark.parametrize(
    ("workers", "solver"), [("ray_with_s3", SGD), ("light_workers", {"name": "exact"})], ids=["sgd", "exact"]
)
def test_two_workers_with_s3_both_ways(
    tmp_path: Path, store: Store, workers: str, solver: dict[str, object], request: pytest.FixtureRequest
) -> None:
    request.getfixturevalue(workers)
    write_parts(tmp_path / "data", [1700, 1, 333, 900])
    data = store.upload(tmp_path / "data", "data")
    every = {"checkpoint_every_s": 1e-9}
    local = lr.train(spec_of(tmp_path / "data", tmp_path / "runs", solver=solver))
    with store.proxy.fault(Fault("/lab/data/", status=503, code="SlowDown", every=7, times=3)) as fault:
        run = lr.train(
            spec_of(data, f"{store.uri}/runs", solver=solver, run=every), {"scaling.num_workers": 2}
        )
    assert fault.hits == 3
    assert run.result["num_workers"] == 2
    assert run.result["rows"] == local.result["rows"]
    np.testing.assert_allclose(run.model.coef_, local.model.coef_, rtol=1e-12)
    assert json.loads(store.read("runs/job/result.json"))["status"] == "succeeded"
    lines = [json.loads(line) for line in store.read("runs/job/metrics.jsonl").splitlines()]
    assert len([line for line in lines if "epoch" in line]) == run.result["solver"]["epochs"]
    keys = store.list_keys("runs/job")
    assert not any(key.startswith(".ray/") for key in keys)
    kind = "checkpoints/epoch" if solver is SGD else "statistics.safetensors"
    assert any(key.startswith(kind) for key in keys)


@contextmanager
def _once_begun(monkeypatch: pytest.MonkeyPatch, store: Store, fault: Fault) -> Iterator[None]:
    """Let a fault strike from when the run's folder is made until the block ends."""
    begin = RunFolder.begin
    with ExitStack() as stack, monkeypatch.context() as patch:

        def begin_and_fail(self: RunFolder, *args: Any, **kwargs: Any) -> Any:
            earlier = begin(self, *args, **kwargs)
            stack.enter_context(store.proxy.fault(fault))
            return earlier

        patch.setattr(RunFolder, "begin", begin_and_fail)
        yield


@pytest.mark.usefixtures("ray_with_s3")
def test_a_store_that_fails_the_workers_is_tried_by_new_ones(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Data stays away for longer than the workers' patience: Ray starts the group again, and it goes on."""
    write_parts(tmp_path / "data", [900, 900])
    data = store.upload(tmp_path / "data", "data")
    local = lr.train(spec_of(tmp_path / "data", tmp_path / "runs", solver=SGD))
    spec = spec_of(data, f"{store.uri}/runs", solver=SGD)
    # The driver has read the footers before the run's folder is made; what comes then is the workers'.
    fault = Fault("GET /lab/data/.*parquet", status=503, code="SlowDown", times=7)
    with _once_begun(monkeypatch, store, fault):
        run = lr.train(spec, {"scaling.num_workers": 2, "run.max_failures": 5})
    assert fault.hits == 7
    assert len(run.result["worker_groups"]) > 1
    np.testing.assert_allclose(run.model.coef_, local.model.coef_, rtol=1e-12)

    forever = Fault("GET /lab/data/.*parquet", status=503, code="SlowDown")
    with (
        _once_begun(monkeypatch, store, forever),
        pytest.raises(lr.StorageError, match=r"bucket 'lab', key 'data/part-\d\.parquet'"),
    ):
        lr.train(spec, {"name": "never", "scaling.num_workers": 2, "run.max_failures": 0})
    result = json.loads(store.read("runs/never/result.json"))
    assert (result["status"], result["error"]["exit_code"]) == ("failed", 4)


@pytest.fixture(scope="module")
def bare_head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    """A cluster whose machines have no credentials."""
    with running_head(tmp_path_factory.mktemp("bare")) as started:
        yield started


def test_a_submitted_job_brings_its_credentials(tmp_path: Path, bare_head: Head, store: Store) -> None:
    write_parts(tmp_path / "data", [900, 900])
    data = store.upload(tmp_path / "data", "data")
    local = lr.train(spec_of(tmp_path / "data", tmp_path / "runs", solver=SGD))
    variables = environment(store.proxy)
    spec = spec_of(data, f"{store.uri}/runs", solver=SGD, scaling={"num_workers": 1})
    spec["cluster"] = {"env": {name: f"${{{name}}}" for name in variables}}
    (bare_head.folder / "job.yaml").write_text(json.dumps(spec))
    done = bare_head.cli("submit", "job.yaml", "--json", timeout=280, **variables)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(store.read("runs/job/result.json"))
    np.testing.assert_allclose(
        lr.LinearModel.load(f"{store.uri}/runs/job").coef_, local.model.coef_, rtol=1e-12
    )
    known = json.loads(bare_head.cli("status", "job", "--json").stdout)
    assert known["run_folder"] == f"{store.uri}/runs/job"
    assert known["metrics"]["epoch"] == 2
    shown = [done.stdout, done.stderr, bare_head.cli("logs", "job").stdout]
    stored = [store.read(key) for key in store.list_keys()]
    assert not any(SECRET in text for text in shown)
    assert not any(SECRET.encode() in content for content in stored)
