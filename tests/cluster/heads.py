"""A real Ray head with its job server, in a session of its own."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests import clusters

_SECONDS_TO_START = 90.0


@dataclass(frozen=True)
class Head:
    """A running head: its job server's address, and the environment for its clients."""

    address: str
    environ: Mapping[str, str]
    folder: Path

    def cli(
        self, *arguments: str, timeout: float = 150.0, **environ: str
    ) -> subprocess.CompletedProcess[str]:
        """Run ``linreg-dist`` against this head's job server."""
        return subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.environ, **environ},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "linreg_dist", *arguments, "--address", self.address]


@contextlib.contextmanager
def running_head(folder: Path, *, port: int | None = None, **environ: str) -> Iterator[Head]:
    """Start a head of two CPUs in a session of its own, and end that session afterwards.

    ``port`` is the job server's; by default a free one.
    """
    clusters.starting("a head")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    kept |= {
        "HOME": str(folder),  # a token file in the real one would turn authentication on
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RAY_USAGE_STATS_ENABLED": "0",
        **environ,
    }
    # Sockets lie in the temporary folder, and their paths may have 107 characters only.
    with tempfile.TemporaryDirectory(prefix="lrd-", ignore_cleanup_errors=True) as temporary:
        dashboard, client = free_ports(2)
        dashboard = port or dashboard
        ray = str(Path(sys.executable).with_name("ray"))
        command = [ray, "start", "--head", "--block", "--num-cpus=2", f"--temp-dir={temporary}"]
        command += ["--port=0", f"--dashboard-port={dashboard}", f"--ray-client-server-port={client}"]
        command += ["--dashboard-agent-listen-port=0", "--object-store-memory=100000000"]
        with (folder / "head.log").open("w") as log:
            process = subprocess.Popen(
                command, env=kept, cwd=folder, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )
        address = f"http://127.0.0.1:{dashboard}"
        try:
            _wait_for(address, process, folder / "head.log")
            yield Head(address, {**kept, "RAY_AUTH_MODE": "disabled"}, folder)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def free_ports(number: int) -> list[int]:
    """Return free ports outside 10002 to 19999, which Ray's workers use."""
    found: list[int] = []
    while len(found) < number:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in found and not 10_000 <= port < 20_000:
            found.append(port)
    return found


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _SECONDS_TO_START
    while time.monotonic() < deadline and process.poll() is None:
        try:
            connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=5)
            with contextlib.closing(connection):
                connection.request("GET", "/api/version")
                if connection.getresponse().status in (200, 401, 403):  # the last two ask for a token
                    return
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(0.3)
    raise RuntimeError(f"no head at {address}:\n{log.read_text()}")
