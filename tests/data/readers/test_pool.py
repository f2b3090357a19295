from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from linreg_dist.data.readers import process
from linreg_dist.data.readers.pool import ReaderPool
from linreg_dist.errors import DataError, RunFailedError
from tests.data.readers.tasks import Task


@pytest.fixture
def pool_of():
    pools = []

    def make(task: Task, size: int = 1) -> ReaderPool:
        pools.append(ReaderPool(task, size, lambda index: f"a.parquet (row group {index})"))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def gone_soon(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if not is_there(pid):
            return True
        time.sleep(0.05)
    return False


def test_readers_are_light_have_the_environment_and_give_results_to_any_number_of_threads(
    pool_of, monkeypatch
):
    monkeypatch.setenv("STORE_CREDENTIALS", "a secret of the store")
    pool = pool_of(Task("print"), 2)
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(pool.apply, range(1, 40))) == [index**2 for index in range(1, 40)]
    assert 1 <= len(pool.pids) <= 2
    said = pool.apply(0)
    assert said["modules"] == set()
    assert said["environment"]["STORE_CREDENTIALS"] == "a secret of the store"
    assert said["pid"] in pool.pids
    assert not any("secret" in Path(f"/proc/{pid}/cmdline").read_text() for pid in pool.pids)


def test_what_a_task_raises_is_raised_here_and_costs_no_process(pool_of):
    pool = pool_of(Task("refuse"))
    pid = pool.apply(0)["pid"]
    with pytest.raises(DataError, match=r"^row group 3 is bad$"):
        pool.apply(3)
    assert pool.apply(0)["pid"] == pid
    with pytest.raises(RuntimeError, match=r"KeyError: 7"):
        pool_of(Task("raise")).apply(7)


@pytest.mark.parametrize("does", ["die once", pytest.param("stop once", marks=pytest.mark.slow)])
def test_a_lost_reader_costs_its_row_group_another_try_and_a_warning(
    pool_of, tmp_path, caplog, monkeypatch, does
):
    monkeypatch.setattr(process, "_PATIENCE_S", 8.0)
    pool = pool_of(Task(does, tmp_path / "once"))
    first = pool.apply(0)["pid"]
    assert pool.apply(5) == 25
    assert pool.apply(0)["pid"] != first
    (record,) = caplog.records
    assert f"reading a.parquet (row group 5): the reader process {first} " in record.getMessage()
    how = "SIGKILL" if does == "die once" else "gave no sign of life for 8 s"
    assert how in record.getMessage()
    assert gone_soon(first)


def test_a_row_group_that_ends_every_reader_is_an_error_that_names_it(pool_of):
    with pytest.raises(RunFailedError, match=r"row group 2\): the reader process was ended by SIGKILL.* 3 t"):
        pool_of(Task("die always")).apply(2)


def test_closing_ends_a_call_that_waits(pool_of):
    pool = pool_of(Task("wait"))
    pid = pool.apply(0)["pid"]
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(pool.apply, 1)
        threading.Timer(0.3, pool.close).start()
        with pytest.raises(RunFailedError, match="have been ended"):
            waiting.result(60)
    assert not is_there(pid)


CALLER = """
import sys
from linreg_dist.data.readers.pool import ReaderPool
from tests.data.readers.tasks import Task
pool = ReaderPool(Task("wait"), 1, str)
print(pool.apply(0)["pid"], flush=True)
pool.apply(1)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_readers_end_with_their_caller_and_a_caller_needs_no_guard(how):
    """The caller is a script on stdin, without the guard that multiprocessing's spawn needs."""
    with subprocess.Popen(
        [sys.executable, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as caller:
        caller.stdin.write(CALLER.encode())
        caller.stdin.close()
        pid = int(caller.stdout.readline())
        assert is_there(pid)
        caller.send_signal(how)
        caller.wait(60)
    assert gone_soon(pid)
