"""Drivers that cannot be seen, in real name spaces: a hidden one, and one that died in another container."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.parquet import linear_columns, write_parquet
from tests.places import OPENED, STRANGER, as_stranger, cli, in_namespaces

pytestmark = pytest.mark.slow  # each is a command in name spaces of its own

# Holds a run until its input ends, as a driver does.
_HOLDER = """
import sys
from pathlib import Path
from linreg_dist.run.lock import hold
hold.BEAT_S = 0.5
with hold.hold_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""

# The command line, for which a lock is stale after 8 s and not after 60.
_IMPATIENT = """
import sys
from linreg_dist.run.lock import hold
hold.STALE_S = 8.0
from linreg_dist.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A job in a folder that everybody may write to."""
    write_parquet(tmp_path / "a.parquet", linear_columns(200, 2))
    spec = {
        "name": "r",
        "data": {"path": "a.parquet", "target": "y"},
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False},
    }
    (tmp_path / "job.json").write_text(json.dumps(spec))
    return tmp_path / "job.json"


def test_the_living_driver_of_another_user_is_not_taken_for_dead_where_proc_hides_it(job: Path) -> None:
    run = job.parent / "runs" / "r"
    run.mkdir(parents=True)
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(run)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        script = f"""
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /mnt; mkdir /mnt/job
mount --bind {job.parent} /mnt/job; chmod -R a+rwX /mnt/job
{OPENED}
mount -t proc -o hidepid=2 proc /proc
if {as_stranger(f"test -e /proc/{holder.pid}/stat", STRANGER)}; then exit 9; fi
cd /mnt/job
{as_stranger(cli("train job.json -q --set run.storage_path=runs"), STRANGER)}
"""
        ran = in_namespaces(script, "--mount")
        assert ran.returncode == 1, ran.stderr
        assert f"is in use by process {holder.pid} " in ran.stderr
        assert holder.poll() is None
        assert json.loads((run / "lock.json").read_text())["pid"] == holder.pid
    finally:
        holder.kill()
        holder.communicate()


def test_a_pod_that_died_and_comes_back_under_another_name_waits_and_goes_on(job: Path) -> None:
    """Another host name and other pids: of the dead driver only its heartbeat tells."""
    long = (
        f"{cli('train', job)} --set solver.name=sgd --set solver.epochs=100000 --set solver.early_stop=null"
    )
    first = subprocess.Popen(
        [
            "unshare",
            "--uts",
            "--pid",
            "--fork",
            "--mount-proc",
            "--kill-child",
            "bash",
            "-c",
            f"hostname train-0; {long} -q",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    run = job.parent / "runs" / "r"
    try:
        deadline = time.monotonic() + 90
        while not list(run.glob("checkpoints/epoch*")):
            if first.poll() is not None:
                assert first.stderr is not None
                pytest.skip(f"no name spaces can be made here: {first.stderr.read()}")
            assert time.monotonic() < deadline
            time.sleep(0.1)
    finally:
        first.send_signal(signal.SIGKILL)
        first.communicate()
    assert json.loads((run / "lock.json").read_text())["host"] == "train-0"
    changed = (
        "--set solver.name=sgd --set solver.epochs=100000 --set solver.early_stop=null --set run.timeout_s=3"
    )
    again = f"{sys.executable} -c '{_IMPATIENT}' train {job} {changed}"
    ran = in_namespaces(f"hostname train-1; {again}", "--uts", "--pid", "--fork", "--mount-proc")
    told = ran.stderr
    assert " on train-0 " in told
    assert "taking over" in told
    assert "run.timeout_s of 3 s is over" in told, "it went on"
    assert (ran.returncode, "is in use" in told) == (1, False)
