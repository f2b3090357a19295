"""Two drivers on one run: the second is refused while the first lives, and goes on where that one died."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

import linreg_dist as lr
from linreg_dist.errors import InterruptedRunError, RunFailedError, RunInUseError
from linreg_dist.liveness import process_start
from linreg_dist.run.ending.finish import Finished
from linreg_dist.run.folder import RunFolder
from linreg_dist.run.lock import hold as lock_module
from linreg_dist.run.lock import on_files as lock_file_module
from linreg_dist.run.lock.hold import STALE_S, hold_run
from linreg_dist.run.lock.on_files import LockFile
from linreg_dist.run.lock.owner import Owner
from tests.parts import write_parts
from tests.processes import meanwhile


def elsewhere(nonce: str = "other") -> Owner:
    """An owner on another host, of whom only the heartbeat tells."""
    return replace(Owner.this_process(), nonce=nonce, host="node-7", pid=4321, user="ada")


def taken(folder: Path, owner: Owner, *, age_s: float) -> LockFile:
    folder.mkdir(parents=True, exist_ok=True)
    file = LockFile(folder / "lock.json", owner)
    assert file.create()
    beat = time.time() - age_s
    os.utime(file.path, (beat, beat))
    return file


def a_dead_process() -> Owner:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = Owner.this_process()
    started = process_start(process.pid)
    process.communicate()
    return replace(owner, nonce="dead", pid=process.pid, process=(*owner.process[:2], str(started)))


def test_a_held_run_is_refused_with_who_holds_it_and_what_to_do(tmp_path: Path, monkeypatch) -> None:
    file = taken(tmp_path / "job", elsewhere(), age_s=3.0)
    monkeypatch.setattr(lock_module.time, "sleep", lambda _: file.beat())
    with pytest.raises(RunInUseError) as raised, hold_run(tmp_path / "job"):
        pass
    message = str(raised.value)
    for part in (
        "process 4321 of ada on node-7",
        "since 20",
        "last heartbeat 0 s ago",
        "choose another name",
    ):
        assert part in message
    assert raised.value.exit_code == 1
    owner = file.holder()
    assert owner is not None
    assert owner.nonce == "other", "a refused driver leaves the lock alone"


def test_this_process_cannot_hold_a_run_twice_and_frees_it_at_the_end(tmp_path: Path) -> None:
    with hold_run(tmp_path / "job"):
        with pytest.raises(RunInUseError, match=rf"process {os.getpid()} "), hold_run(tmp_path / "job"):
            pass
        assert (tmp_path / "job" / "lock.json").exists()
    assert not (tmp_path / "job").exists(), "a run that wrote nothing leaves no folder"
    with hold_run(tmp_path / "job"):
        pass


def test_a_dead_process_of_this_host_frees_its_run_at_once(tmp_path: Path, caplog) -> None:
    taken(tmp_path / "job", a_dead_process(), age_s=0.0)
    with hold_run(tmp_path / "job") as lock:
        lock.check()
    assert "which has ended without releasing it: taking over" in caplog.text


def test_a_dead_process_is_not_waited_for_however_late_its_heartbeat(tmp_path: Path, caplog) -> None:
    taken(tmp_path / "job", a_dead_process(), age_s=STALE_S / 2)
    with hold_run(tmp_path / "job") as lock:
        lock.check()
    assert "waiting" not in caplog.text


def test_a_pid_that_was_given_to_another_process_is_no_owner(tmp_path: Path) -> None:
    me = Owner.this_process()
    taken(tmp_path / "job", replace(me, nonce="dead", process=(*me.process[:2], "1")), age_s=0.0)
    with hold_run(tmp_path / "job") as lock:
        lock.check()


def test_an_owner_elsewhere_is_given_until_its_lock_is_stale(tmp_path: Path, caplog) -> None:
    taken(tmp_path / "old", elsewhere(), age_s=STALE_S + 1)
    with hold_run(tmp_path / "old") as lock:
        lock.check()
    assert "of ada on node-7" in caplog.text
    assert "which gave no heartbeat for 61 s: taking over" in caplog.text
    taken(tmp_path / "late", elsewhere(), age_s=STALE_S - 2)
    started = time.monotonic()
    with hold_run(tmp_path / "late") as lock:
        lock.check()
    assert time.monotonic() - started > 1.5, "it waits until nobody can be there any more"


@pytest.mark.parametrize("age_s", [0.0, -3600.0])
def test_a_fresh_owner_elsewhere_that_gives_no_further_heartbeat_is_waited_for(
    tmp_path: Path, monkeypatch, age_s: float
) -> None:
    """As after a pod was killed and started again, or a clock was set back."""
    monkeypatch.setattr(lock_module, "STALE_S", 3.0)
    taken(tmp_path / "job", elsewhere(), age_s=age_s)
    started = time.monotonic()
    with hold_run(tmp_path / "job") as lock:
        lock.check()
    assert 2.5 < time.monotonic() - started < 60


def test_an_owner_that_proc_hides_is_not_dead(tmp_path: Path, monkeypatch) -> None:
    """Another user's process, where /proc is mounted with hidepid."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    owner = replace(Owner.this_process(), pid=process.pid)
    hidden = Path(f"/proc/{process.pid}")
    real = Path.read_text

    def read_text(path: Path, *arguments: object) -> str:
        if hidden in path.parents:
            raise FileNotFoundError(path)
        return real(path, *arguments)

    monkeypatch.setattr(Path, "read_text", read_text)
    assert not owner.is_gone
    process.communicate()
    assert owner.is_gone


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_a_file_system_without_hard_links_locks_too(tmp_path: Path, monkeypatch, number: int) -> None:
    def no_link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_link)
    with hold_run(tmp_path / "job"):
        with pytest.raises(RunInUseError), hold_run(tmp_path / "job"):
            pass
        assert not LockFile(tmp_path / "job" / "lock.json", elsewhere()).create()
    assert not (tmp_path / "job").exists()


def test_of_two_that_made_the_file_without_links_the_last_writer_has_it(tmp_path: Path, monkeypatch) -> None:
    ours = LockFile(tmp_path / "lock.json", elsewhere("ours"))

    def no_link(*_: object) -> None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "link", no_link)
    monkeypatch.setattr(time, "sleep", lambda _: LockFile(ours.path, elsewhere("theirs")).replace())
    assert not ours.create()


def test_a_lock_whose_maker_died_before_it_wrote_its_name_is_free(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(lock_file_module, "_WRITTEN_WITHIN_S", 0.1)
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / "lock.json").touch()
    with hold_run(tmp_path / "job") as lock:
        lock.check()


def test_a_late_owner_that_shows_itself_keeps_its_run(tmp_path, monkeypatch) -> None:
    file = taken(tmp_path / "job", elsewhere(), age_s=STALE_S - 5)
    monkeypatch.setattr(lock_module.time, "sleep", lambda _: file.beat())
    with pytest.raises(RunInUseError), hold_run(tmp_path / "job"):
        pass


def test_of_two_that_take_over_only_the_last_writer_goes_on(tmp_path, monkeypatch) -> None:
    file = taken(tmp_path / "job", elsewhere(), age_s=STALE_S + 1)
    faster = LockFile(file.path, elsewhere("faster"))
    monkeypatch.setattr(lock_module.time, "sleep", lambda _: faster.replace())
    with pytest.raises(RunInUseError, match="just taken over by process 4321"), hold_run(tmp_path / "job"):
        pass


def test_an_owner_that_was_paused_notices_its_loss_and_leaves_the_lock(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(lock_module, "BEAT_S", 0.05)
    losses: list[bool] = []
    with hold_run(tmp_path / "job", on_loss=lambda: losses.append(True)) as lock:
        lock.check()
        LockFile(tmp_path / "job" / "lock.json", elsewhere()).replace()
        deadline = time.monotonic() + 10
        while not losses and time.monotonic() < deadline:
            time.sleep(0.01)
        assert losses == [True]
        with pytest.raises(
            RunFailedError, match=r"lost its run .*node-7.* took it over.*writes nothing more"
        ):
            lock.check()
    owner = LockFile(tmp_path / "job" / "lock.json", elsewhere()).holder()
    assert owner is not None
    assert owner.nonce == "other"


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "job").write_text("a file where the folder should be")
    refused = pytest.raises(RunFailedError, match=r"job cannot be written to.*run\.storage_path")
    with refused, hold_run(tmp_path / "job"):
        pass


def long_job(tmp_path: Path) -> Path:
    write_parts(tmp_path / "data", [3000, 3000])
    spec = {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y"},
        "solver": {"name": "sgd", "epochs": 300, "global_batch_size": 500, "early_stop": None},
        "run": {"storage_path": str(tmp_path / "runs"), "checkpoint_every_s": 0.1},
    }
    file = tmp_path / "job.yaml"
    file.write_text(yaml.safe_dump(spec))
    return file


@pytest.mark.slow
def test_a_second_driver_is_refused_and_goes_on_where_a_killed_one_was(tmp_path: Path) -> None:
    job = long_job(tmp_path)
    command = [sys.executable, "-m", "linreg_dist", "train", str(job), "-q"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        checkpoints = tmp_path / "runs/job/checkpoints"
        deadline = time.monotonic() + 120
        while not list(checkpoints.glob("epoch*")):
            assert first.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        first.send_signal(signal.SIGSTOP)  # so that it is alive for as long as this test looks
        before = sorted(path.name for path in checkpoints.iterdir())

        def beat(done: threading.Event) -> None:
            os.utime(tmp_path / "runs/job/lock.json")
            done.wait(0.5)

        with meanwhile(beat):  # the stopped owner's, however long a busy machine takes to start another
            for fresh in ([], ["--fresh"]):
                again = [*command, *fresh, "--json"]
                second = subprocess.run(again, capture_output=True, text=True, check=False)
                assert second.returncode == 1
                assert f"is in use by process {first.pid} " in second.stderr
                assert json.loads(second.stdout)["error"]["type"] == "RunInUseError"
        assert sorted(path.name for path in checkpoints.iterdir()) == before, "--fresh clears no living run"
        assert not (tmp_path / "runs/job/result.json").exists()
    finally:
        first.kill()
        first.wait()
    continued = lr.train(job)
    assert continued.result["status"] == "succeeded"
    assert not (tmp_path / "runs/job/lock.json").exists()
    undisturbed = lr.train(job, {"name": "undisturbed"})
    np.testing.assert_allclose(continued.model.coef_, undisturbed.model.coef_, rtol=1e-12)


def test_a_driver_that_lost_its_run_stops_and_writes_no_result(tmp_path, monkeypatch) -> None:
    """Another driver takes the run over while this one's epochs go on."""
    monkeypatch.setattr(lock_module, "BEAT_S", 0.05)
    job = long_job(tmp_path)
    folder = tmp_path / "runs" / "job"

    def steal() -> None:
        while not list((folder / "checkpoints").glob("epoch*")):
            time.sleep(0.05)
        LockFile(folder / "lock.json", elsewhere()).replace()

    thief = threading.Thread(target=steal)
    thief.start()
    from linreg_dist.verbs.train import train

    with pytest.raises(RunFailedError, match="lost its run") as raised:
        train(job, {"solver.epochs": 100_000})
    thief.join()
    assert not isinstance(raised.value, InterruptedRunError)
    assert not (folder / "result.json").exists()
    assert not (folder / "model").exists()


def test_a_driver_that_lost_its_run_while_it_wrote_the_model_says_nothing_of_success(
    tmp_path: Path, monkeypatch
) -> None:
    job = long_job(tmp_path)
    folder = tmp_path / "runs" / "job"
    write = Finished.write

    def write_and_lose(finished: Finished, where: RunFolder) -> None:
        write(finished, where)
        LockFile(folder / "lock.json", elsewhere()).replace()

    monkeypatch.setattr(Finished, "write", write_and_lose)
    with pytest.raises(RunFailedError, match="lost its run"):
        lr.train(job, {"solver.epochs": 1})
    assert not (folder / "result.json").exists()
