"""The lock of a run that lies on an object store, where nothing can be linked or touched."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from linreg_dist.errors import RunFailedError, RunInUseError, StorageError
from linreg_dist.jobspec import load_spec
from linreg_dist.liveness import process_start
from linreg_dist.run.folder import RunFolder
from linreg_dist.run.lock import hold as lock_module
from linreg_dist.run.lock import on_objects as lock_object
from linreg_dist.run.lock.hold import hold_run
from linreg_dist.run.lock.on_objects import LockObject
from linreg_dist.run.lock.owner import Owner
from linreg_dist.storage import ObjectPath, as_location
from tests.parts import wait_for
from tests.processes import meanwhile
from tests.storage.conftest import Store
from tests.storage.s3_proxy import Fault


@pytest.fixture
def folder(store: Store) -> ObjectPath:
    place = as_location(f"{store.uri}/runs/job")
    assert isinstance(place, ObjectPath)
    return place


def lock_of(folder: ObjectPath, owner: Owner) -> LockObject:
    return LockObject(folder / "lock", owner)


def elsewhere() -> Owner:
    """An owner on another host, of whom only the heartbeat tells."""
    return replace(Owner.this_process(), host="node-7", pid=4321, user="ada")


def dead_here() -> Owner:
    """An owner whose process was of this host and has ended."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner, started = Owner.this_process(), process_start(process.pid)
    process.communicate()
    return replace(owner, pid=process.pid, process=(*owner.process[:2], str(started)))


def taken(folder: ObjectPath, owner: Owner | None = None) -> LockObject:
    lock = lock_of(folder, owner or elsewhere())
    assert lock.take() is None
    return lock


def kinds(store: Store) -> Counter[str]:
    """How many objects of each kind there are."""
    return Counter(key.rpartition(".")[2] for key in store.list_keys("runs/job/lock"))


def test_a_run_is_held_by_one_and_given_back(folder: ObjectPath, store: Store) -> None:
    with hold_run(folder) as lock:
        lock.check()
        assert kinds(store) == {"json": 1, "beat": 1}
        with pytest.raises(RunInUseError, match=r"s3://lab/runs/job is in use"), hold_run(folder):
            pass
        assert kinds(store) == {"json": 1, "beat": 1}, "a refused driver withdraws its claim"
        lock.check()
    assert store.list_keys("runs") == set()


def test_a_refused_driver_says_who_holds_the_run_and_for_how_long(folder: ObjectPath) -> None:
    holder = taken(folder)

    def beat(done: threading.Event) -> None:
        holder.beat()
        done.wait(0.5)

    message = r"in use by process 4321 of ada on node-7 \(since 20.*last heartbeat \d s ago.*choose another"
    with meanwhile(beat), pytest.raises(RunInUseError, match=message), hold_run(folder):
        pass


def test_an_owner_elsewhere_that_gives_no_heartbeat_is_followed(
    folder: ObjectPath, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "STALE_S", 4.0)
    lock = taken(folder)
    with hold_run(folder) as held:  # perhaps alive: this one waits
        held.check()
        assert lock.holder() != lock.owner
    assert kinds(store) == {"deposed": 1}


def test_a_dead_process_of_this_host_frees_its_run_at_once(folder: ObjectPath) -> None:
    taken(folder, dead_here())
    with hold_run(folder) as lock:
        lock.check()


@pytest.mark.parametrize("nonce", ["0" * 32, "f" * 32])
def test_a_driver_that_died_before_it_looked_is_in_nobodys_way(
    folder: ObjectPath, store: Store, monkeypatch: pytest.MonkeyPatch, nonce: str
) -> None:
    monkeypatch.setattr(lock_object, "_LOOKS", 2)
    claim = folder / "lock" / f"{nonce}.json"
    claim.write_bytes(replace(elsewhere(), nonce=nonce).to_json())
    monkeypatch.setattr(lock_module, "STALE_S", 3.0)
    with hold_run(folder) as lock:  # it may be just about to look: this one waits
        lock.check()
    assert store.list_keys("runs/job/lock") == {f"{nonce}.deposed"}


@pytest.mark.slow
def test_of_many_that_start_at_the_same_moment_one_gets_the_run(folder: ObjectPath, store: Store) -> None:
    drivers, rounds = 4, 20
    start, lock = threading.Barrier(drivers), threading.Lock()
    holding, most, outcomes = 0, 0, [Counter[str]() for _ in range(rounds)]

    def drive() -> None:
        nonlocal holding, most
        for number in range(rounds):
            start.wait(60)
            try:
                with hold_run(folder) as held:
                    with lock:
                        holding += 1
                        most = max(most, holding)
                        outcomes[number]["held"] += 1
                    wait_for(lambda number=number: outcomes[number].total() == drivers)
                    held.check()
                    with lock:
                        holding -= 1
            except RunInUseError:
                with lock:
                    outcomes[number]["refused"] += 1

    with ThreadPoolExecutor(drivers) as pool:
        for future in [pool.submit(drive) for _ in range(drivers)]:
            future.result()
    assert most == 1, "never two"
    assert outcomes == [{"held": 1, "refused": drivers - 1}] * rounds
    assert store.list_keys("runs") == set()


def test_a_claim_that_arrives_late_does_not_let_two_in(folder: ObjectPath, store: Store) -> None:
    arrives = threading.Event()
    with (
        ThreadPoolExecutor(1) as pool,
        store.proxy.fault(Fault(r"PUT .*\.json", until=arrives, times=1)) as late,
    ):

        def drive() -> None:
            with hold_run(folder):
                pass

        slow = pool.submit(drive)
        wait_for(lambda: late.hits)
        with hold_run(folder) as lock:  # gets in, as nobody else is to be seen
            arrives.set()
            with pytest.raises(RunInUseError):
                slow.result()
            lock.check()
    assert store.list_keys("runs") == set()


def test_heartbeats_keep_a_run_and_a_loss_is_noticed(
    folder: ObjectPath, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 0.2)
    losses: list[bool] = []
    with hold_run(folder, on_loss=lambda: losses.append(True)) as held:
        wait_for(lambda: store.proxy.count(r"PUT .*\.beat") >= 5)
        held.check()
        other, found = lock_of(folder, elsewhere()), held._lock.owner
        other.depose(found)
        assert other.take() is None
        wait_for(lambda: losses)
        with pytest.raises(
            RunFailedError, match=r"lost its run .*node-7.* took it over.*writes nothing more"
        ):
            held.check()
    assert other.holder() == other.owner, "it leaves the other's lock alone"
    other.give_back()
    assert store.list_keys("runs") == set(), "and takes what is its own with it"


def test_heartbeats_go_on_after_the_store_has_refused_one(
    folder: ObjectPath, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 0.2)
    with hold_run(folder) as held:
        with store.proxy.fault(Fault(r"PUT .*\.beat", status=403, code="AccessDenied")) as fault:
            wait_for(lambda: fault.hits >= 2)
        assert "no heartbeat could be written to s3://lab/runs/job/lock: cannot write" in caplog.text
        given = store.proxy.count(r"PUT .*\.beat")
        wait_for(lambda: store.proxy.count(r"PUT .*\.beat") >= given + 2)
        held.check()


def test_a_heartbeat_that_arrives_late_brings_nothing_back(
    folder: ObjectPath, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 0.2)
    losses: list[bool] = []
    arrives = threading.Event()
    with hold_run(folder, on_loss=lambda: losses.append(True)) as held:
        owner = held._lock.owner
        with store.proxy.fault(Fault(rf"PUT .*{owner.nonce}\.beat", until=arrives, times=1)) as late:
            wait_for(lambda: late.hits)  # the owner has looked, and all was well
            other = lock_of(folder, elsewhere())
            other.depose(owner)
            assert other.take() is None
            assert f"{owner.nonce}.beat" not in store.list_keys("runs/job/lock")
            arrives.set()
            wait_for(lambda: f"{owner.nonce}.beat" in store.list_keys("runs/job/lock"))
        assert other.holder() == other.owner
        wait_for(lambda: losses)
        with pytest.raises(RunFailedError, match=r"lost its run"):
            held.check()
        other.give_back()
        with hold_run(folder):  # the late heartbeat is in nobody's way, and is cleared up
            assert f"{owner.nonce}.beat" not in store.list_keys("runs/job/lock")
    assert store.list_keys("runs") == set()


def test_a_tombstone_keeps_a_claim_dead_that_comes_back(folder: ObjectPath, store: Store) -> None:
    paused, other = taken(folder), lock_of(folder, Owner.this_process())
    other.depose(paused.owner)
    claim = folder / "lock" / f"{paused.owner.nonce}.json"
    assert other.take() is None
    claim.write_bytes(paused.owner.to_json())  # a request that was on its way for minutes
    assert paused.holder() == other.owner
    other.give_back()
    assert paused.holder() is None
    with hold_run(folder) as lock:
        lock.check()
        assert not claim.exists()
        assert paused.holder() == lock._lock.owner
    assert kinds(store) == {"deposed": 1}


def test_tombstones_are_removed_after_a_day(
    folder: ObjectPath, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    paused = taken(folder)
    lock_of(folder, Owner.this_process()).depose(paused.owner)
    with hold_run(folder):
        assert kinds(store)["deposed"] == 1
    monkeypatch.setattr(lock_object, "_TOMBSTONE_KEPT_S", -1.0)
    with hold_run(folder):
        assert kinds(store)["deposed"] == 0
    assert paused.holder() is None, "its claim is gone, which tells it as much"


def test_a_claim_that_could_not_be_followed_up_is_withdrawn(
    folder: ObjectPath, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINREG_DIST_STORAGE_RETRY_S", "0.1")
    for request in (r"GET .*prefix=runs", r"PUT .*\.beat"):
        with (
            store.proxy.fault(Fault(request, status=503, code="SlowDown")) as fault,
            pytest.raises(StorageError, match=r"key 'runs/job/lock"),
            hold_run(folder),
        ):
            pass
        assert fault.hits
        assert store.list_keys("runs") == set()


def test_a_driver_deposed_before_it_looked_does_not_get_in(folder: ObjectPath, store: Store) -> None:
    arrives = threading.Event()
    with (
        ThreadPoolExecutor(1) as pool,
        store.proxy.fault(Fault("GET .*prefix", until=arrives, times=1)) as late,
    ):
        slow = lock_of(folder, elsewhere())
        attempt = pool.submit(slow.take)
        wait_for(lambda: late.hits)
        other = lock_of(folder, Owner.this_process())
        other.depose(slow.owner)
        assert other.take() is None
        arrives.set()
        with pytest.raises(RunFailedError, match="took this one for dead before it began"):
            attempt.result()
        assert other.holder() == other.owner
    other.give_back()
    assert store.list_keys("runs") == set()


def test_fresh_clears_all_but_the_lock(folder: ObjectPath, store: Store) -> None:
    spec = load_spec({"name": "job", "data": {"path": "s3://lab/data", "target": "y"}})
    with hold_run(folder) as lock:
        run = RunFolder(folder)
        run.begin(spec, "digest", fresh=False)
        (folder / "checkpoints" / "epoch000001-step000000000" / "progress.json").write_bytes(b"")
        run.begin(spec, "digest", fresh=True)
        lock.check()
        assert "job/checkpoints/epoch000001-step000000000/progress.json" not in store.list_keys("runs")
