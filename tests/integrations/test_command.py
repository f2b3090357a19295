"""A command that is watched: what it prints arrives in order, and it never outlives whoever watches it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from linreg_dist.documents import EpochLine, Event, Tick
from linreg_dist.integrations.command import run_command, stop_process, train_command
from tests.parquet import linear_columns, write_parquet

PROGRAM = """
import json, sys
print("Ray says hello \\x1b[31m", file=sys.stderr)
print(json.dumps({"progress": 0.5, "phase": "read"}), file=sys.stderr)
print(json.dumps({"epoch": 0, "train_mse": 2.0}), file=sys.stderr)
print("half a line", end="", file=sys.stderr)
print(json.dumps({"status": "succeeded", "name": "job"}, indent=2))
"""

WAITS = """
import json, signal, sys, time
def stop(number, frame):
    print(json.dumps({"status": "interrupted", "error": {"type": "InterruptedRunError", "message": "told"}}))
    sys.stdout.flush()
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
print("ready", file=sys.stderr, flush=True)
time.sleep(600)
"""


def test_progress_text_and_result_are_told_apart() -> None:
    events: list[Event] = []
    texts: list[str] = []
    end = run_command([sys.executable, "-c", PROGRAM], on_event=events.append, on_text=texts.append)
    assert [type(event) for event in events] == [Tick, EpochLine]
    assert texts == ["Ray says hello \\x1b[31m", "half a line"]
    assert end.result.name == "job"
    assert end.last_text == "half a line"


def test_pipes_that_are_full_hold_nothing_up() -> None:
    much = "import sys; print('[' + '1,' * 200_000 + '1]'); print('x' * 999_999, file=sys.stderr)"
    texts: list[str] = []
    end = run_command([sys.executable, "-c", much], on_text=texts.append)
    assert end.succeeded
    assert [len(text) for text in texts] == [999_999]
    assert end.document is None, "a list is no document"


def test_a_child_that_holds_the_pipes_open_holds_nothing_up() -> None:
    leaves = "import subprocess; subprocess.Popen(['sleep', '60']); print('{\"status\": \"succeeded\"}')"
    assert run_command([sys.executable, "-c", leaves]).succeeded


def test_it_stops_when_it_is_told_to() -> None:
    stop = threading.Event()
    end = run_command([sys.executable, "-c", WAITS], stop=stop, on_text=lambda line: stop.set())
    assert (end.exit_code, end.message, end.retryable) == (130, "told", False)


def test_whatever_interrupts_the_wait_stops_the_command(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    program = f"import os; open({str(pid)!r}, 'w').write(str(os.getpid()))\n" + WAITS

    def interrupt(line: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_command([sys.executable, "-c", program], on_text=interrupt)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_process_that_does_not_listen_is_killed() -> None:
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True)\n"
    deaf += "time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        stop_process(process, within_s=0.2)
        assert process.returncode == -signal.SIGKILL


@pytest.mark.slow  # it starts two commands that load torch
def test_a_real_job_tells_its_progress_and_ends_with_whoever_watches_it(tmp_path: Path) -> None:
    write_parquet(tmp_path / "rows.parquet", linear_columns())
    spec = {
        "name": "job",
        "data": {"path": str(tmp_path / "rows.parquet"), "target": "y"},
        "solver": {"name": "sgd", "epochs": 3},
        "outputs": {"report": False},
        "run": {"storage_path": str(tmp_path / "runs")},
    }
    (tmp_path / "job.json").write_text(json.dumps(spec))
    events: list[Event] = []
    end = run_command(train_command(str(tmp_path / "job.json")), on_event=events.append)
    assert end.result.status == "succeeded", end.message
    assert [event.epoch for event in events if isinstance(event, EpochLine)] == [0, 1, 2]

    watcher = (
        "from linreg_dist.integrations.command import run_command, train_command\n"
        "from linreg_dist.documents import EpochLine\n"
        "def tell(event):\n"
        "    if isinstance(event, EpochLine):  # the run has begun, so it has a result to end with\n"
        "        print(event, flush=True)\n"
        f"command = train_command({str(tmp_path / 'job.json')!r}, overrides=['name=long', "
        "'solver={name: sgd, epochs: 1000000, learning_rate: 1.0e-9, early_stop: null}'])\n"
        "run_command(command, on_event=tell)\n"
    )
    with subprocess.Popen([sys.executable, "-c", watcher], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        process.kill()
    result = tmp_path / "runs/long/result.json"
    deadline = time.monotonic() + 60
    while not result.exists():
        assert time.monotonic() < deadline, "it goes on though nobody watches it"
        time.sleep(0.1)
    assert json.loads(result.read_text())["status"] == "interrupted"
