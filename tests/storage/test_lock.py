"""Two drivers on one run that is kept on S3."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import linreg_dist as lr
from linreg_dist.errors import RunFailedError, RunInUseError
from linreg_dist.run import lock as lock_module
from linreg_dist.run.lock import ObjectLockFile, Owner, hold_run
from linreg_dist.storage import ObjectPath
from tests.run.conftest import write_parts
from tests.storage.conftest import Store
from tests.storage.s3_proxy import Fault
from tests.storage.test_runs import spec_of


def elsewhere(nonce: str = "other") -> Owner:
    """An owner on another host, of whom only the heartbeat tells."""
    return replace(Owner.this_process(), nonce=nonce, host="node-7", pid=4321, user="ada")


@pytest.fixture
def run(store: Store) -> ObjectPath:
    return ObjectPath.of(f"{store.uri}/runs/job")


def test_a_held_run_is_refused_and_freed_at_the_end(run: ObjectPath, store: Store) -> None:
    with hold_run(run) as lock:
        assert store.list_keys("runs/job") == {"lock.json", "lock.json.beat"}
        with pytest.raises(RunInUseError, match="s3://lab/runs/job is in use by process"), hold_run(run):
            pass
        lock.check()
    assert store.list_keys("runs/job") == set()
    with hold_run(run):
        pass


def test_train_refuses_a_run_that_another_host_works_on(
    tmp_path: Path, run: ObjectPath, store: Store
) -> None:
    write_parts(tmp_path / "data", [100])
    owner = elsewhere()
    assert ObjectLockFile(run / "lock.json").create(owner)
    spec = spec_of(tmp_path / "data", f"{store.uri}/runs")
    for fresh in (False, True):
        with pytest.raises(RunInUseError, match="process 4321 of ada on node-7"):
            lr.train(spec, fresh=fresh)
    assert json.loads(store.read("runs/job/lock.json")) == {**asdict(owner), "process": list(owner.process)}


def test_a_lock_without_a_heartbeat_is_taken_over(
    run: ObjectPath, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 0.5)
    monkeypatch.setattr(lock_module, "STALE_S", 3.0)  # a store tells whole seconds
    file = ObjectLockFile(run / "lock.json")
    assert file.create(elsewhere())
    time.sleep(2.0)
    assert 1.0 <= file.age_s() <= 4.0
    with hold_run(run) as lock:
        lock.check()
    assert "has ended without releasing it" in caplog.text


def test_a_driver_that_lost_its_run_says_so(run: ObjectPath) -> None:
    with hold_run(run) as lock:
        ObjectLockFile(run / "lock.json").replace(elsewhere())
        with pytest.raises(RunFailedError, match=r"process 4321 of ada on node-7 .* took it over"):
            lock.check()
    assert (run / "lock.json").exists(), "a lock that is another's is left alone"


def test_a_store_that_is_away_costs_heartbeats_and_not_the_run(
    run: ObjectPath,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 0.2)
    with hold_run(run) as lock:
        with store.proxy.fault(Fault("runs/job/lock", status=503, code="SlowDown")):
            deadline = time.monotonic() + 30
            while "no heartbeat could be written to s3://lab/runs/job/lock.json" not in caplog.text:
                assert time.monotonic() < deadline
                time.sleep(0.1)
        lock.check()
        assert not lock.is_lost
