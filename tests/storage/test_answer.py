"""A store that takes a connection and says nothing ends a command in time, and holds no interrupt up."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from linreg_dist.errors import StorageError
from linreg_dist.storage.answer import answered
from linreg_dist.storage.retry import VARIABLE


@pytest.fixture
def deaf() -> Iterator[str]:
    """A Google Cloud Storage that takes every connection and never answers."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=50)
    held: list[socket.socket] = []

    def hold() -> None:
        while True:
            try:
                held.append(listening.accept()[0])
            except OSError:
                return

    threading.Thread(target=hold, daemon=True).start()
    port = listening.getsockname()[1]
    yield f"gs://anonymous@bucket/data?endpoint_override=127.0.0.1:{port}&scheme=http"
    listening.close()
    for each in held:
        each.close()


def command(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    import os

    return subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "linreg_dist", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder,
        env={**os.environ, VARIABLE: "1"},
    )  # fmt: skip


@pytest.mark.parametrize("verb", ["train", "inspect"])
def test_a_store_that_does_not_answer_is_exit_4_in_the_stated_time(
    deaf: str, tmp_path: Path, verb: str
) -> None:
    (tmp_path / "job.yaml").write_text(f'name: job\ndata: {{path: "{deaf}", target: y}}\n')
    process = command(tmp_path, verb, "job.yaml" if verb == "train" else deaf)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 4
    assert "does not answer: nothing came within 10 s" in err
    assert "Traceback" not in out + err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_while_the_store_is_waited_for(
    deaf: str, tmp_path: Path, number: signal.Signals
) -> None:
    process = command(tmp_path, "inspect", deaf)
    time.sleep(4)  # within the request, or on the way to it: both must end
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_what_is_asked_in_a_thread_returns_and_raises_as_it_would_here() -> None:
    assert answered(lambda: 1, "gs://b/x", 10) == 1
    with pytest.raises(KeyError):
        answered(lambda: {}["x"], "gs://b/x", None)
    with pytest.raises(StorageError, match="does not answer"):
        answered(lambda: time.sleep(60), "abfs://c@a.dfs.core.windows.net/x", 0.0)


def test_a_local_path_is_asked_in_this_thread() -> None:
    here = threading.current_thread()
    for path in ("/a/b", "relative", "file:///a"):
        assert answered(threading.current_thread, path, 1.0) is here
