"""The lock of a run that lies on an object store, where nothing can be linked or touched."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from linreg_dist.errors import RunFailedError, RunInUseError
from linreg_dist.run import lock as lock_module
from linreg_dist.run.lock import LockObject, Owner, hold_run
from linreg_dist.storage import ObjectPath, as_location
from tests.storage.conftest import Store


@pytest.fixture
def folder(store: Store) -> ObjectPath:
    place = as_location(f"{store.uri}/runs/job")
    assert isinstance(place, ObjectPath)
    return place


def taken(folder: ObjectPath) -> LockObject:
    lock = LockObject(folder / "lock.json")
    assert lock.create(replace(Owner.this_process(), nonce="other", host="node-7", pid=4321, user="ada"))
    return lock


def test_a_run_is_held_by_one_and_given_back(folder: ObjectPath, store: Store) -> None:
    with hold_run(folder) as lock:
        lock.check()
        assert store.list_keys("runs") == {"job/lock.json"}
        with pytest.raises(RunInUseError, match=r"s3://lab/runs/job is in use"), hold_run(folder):
            pass
    assert store.list_keys("runs") == set()


def test_an_owner_elsewhere_that_gives_no_heartbeat_is_followed(folder: ObjectPath, monkeypatch) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 2.0)
    monkeypatch.setattr(lock_module, "STALE_S", 7.0)
    lock = taken(folder)
    with pytest.raises(RunInUseError, match="process 4321 of ada on node-7"), hold_run(folder):
        pass
    owner = lock.read()
    assert owner is not None
    time.sleep(4.5)  # late, but perhaps alive: the next one waits
    with hold_run(folder) as held:
        held.check()


def test_heartbeats_keep_a_run_and_a_loss_is_noticed(folder: ObjectPath, monkeypatch) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 0.2)
    losses: list[bool] = []
    with hold_run(folder, on_loss=lambda: losses.append(True)) as held:
        time.sleep(2.5)
        assert LockObject(folder / "lock.json").age_s() <= 2.0
        held.check()
        other = replace(Owner.this_process(), nonce="other", host="node-7")
        LockObject(folder / "lock.json").replace(other)
        deadline = time.monotonic() + 10
        while not losses and time.monotonic() < deadline:
            # A heartbeat that had looked just before may have put the old owner back, as a plain PUT can.
            LockObject(folder / "lock.json").replace(other)
            time.sleep(0.05)
        assert losses
        with pytest.raises(RunFailedError, match="node-7"):
            held.check()
