"""Two hosts with addresses of their own on one machine: network namespaces at a switch, whose cables can be
pulled. Needs root and iproute2.

The head and the driver run on the first host. On the second a supervisor starts a Ray node again whenever it
has ended, as systemd or KubeRay would. The hosts share the file system and the processors.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_HEAD, _NODE = "10.213.77.1", "10.213.77.2"
_PORT = 6399
_SECONDS_TO_START = 90.0
_REPOSITORY = Path(__file__).parents[2]

# A node that has been silent for five to seven seconds is lost; Ray's own settings take about a minute.
_HEALTH = {
    "RAY_health_check_initial_delay_ms": "1000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}


def why_not() -> str | None:
    """Return why there can be no hosts here, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2's `ip`"
    probe = f"lrd-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"this machine allows no network namespaces: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return None


class Hosts:
    """A head and a node on hosts of their own; `address` is the head's."""

    address = f"{_HEAD}:{_PORT}"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        names = [f"lrd-{kind}-{os.getpid()}" for kind in ("switch", "head", "node")]
        self._switch, self._head, self._node = names
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, temporary: Path) -> None:
        """Lay the cables, and start the head and the node."""
        for name in (self._switch, self._head, self._node):
            _ip("netns", "add", name)
        _ip("-n", self._switch, "link", "add", "bridge0", "type", "bridge")
        _ip("-n", self._switch, "link", "set", "bridge0", "up")
        for host, port, address in ((self._head, "head", _HEAD), (self._node, "node", _NODE)):
            pair = ("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", host)
            _ip("-n", self._switch, *pair)
            _ip("-n", self._switch, "link", "set", port, "master", "bridge0", "up")
            _ip("-n", host, "link", "set", "lo", "up")
            _ip("-n", host, "address", "add", f"{address}/24", "dev", "eth0")
            _ip("-n", host, "link", "set", "eth0", "up")
        common = ["--num-cpus=1", "--block", "--object-store-memory=100000000"]
        head = ["ray", "start", "--head", f"--node-ip-address={_HEAD}", f"--port={_PORT}"]
        head += ["--include-dashboard=false", f"--temp-dir={temporary}", *common]
        self._spawn(self._head, head, "head.log")
        self.wait_for_nodes(1)
        node = ["ray", "start", f"--address={self.address}", f"--node-ip-address={_NODE}", *common]
        self._spawn(self._node, ["sh", "-c", 'while :; do "$@"; sleep 1; done', "sh", *node], "node.log")
        self.wait_for_nodes(2)

    def cut(self) -> None:
        """Pull the node's cable: packets vanish, nobody is told."""
        _ip("-n", self._switch, "link", "set", "node", "down")

    def heal(self) -> None:
        """Put the cable back."""
        _ip("-n", self._switch, "link", "set", "node", "up")

    def popen(self, command: list[str], log: Path) -> subprocess.Popen[bytes]:
        """Start a command on the head's host."""
        with log.open("ab") as file:
            return subprocess.Popen(
                ["ip", "netns", "exec", self._head, *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=self._environ,
                start_new_session=True,
            )

    def nodes_alive(self) -> int:
        """Return how many nodes the head believes to be alive; 0 if it does not answer."""
        code = f"""
from ray._raylet import GcsClient
nodes = GcsClient(address="{self.address}").get_all_node_info().values()
print(sum(node.state == 0 for node in nodes))  # 0 is ALIVE
"""
        asked = subprocess.run(
            ["ip", "netns", "exec", self._head, sys.executable, "-c", code],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
        )
        return int(asked.stdout) if asked.returncode == 0 else 0

    def wait_for_nodes(self, number: int) -> None:
        """Wait until the head counts that many.

        Raises:
            RuntimeError: not within a minute and a half.

        """
        deadline = time.monotonic() + _SECONDS_TO_START
        while self.nodes_alive() != number:
            if time.monotonic() > deadline:
                logs = "".join(path.read_text() for path in self._folder.glob("*.log"))
                raise RuntimeError(f"there are not {number} nodes at {self.address}:\n{logs}")
            time.sleep(1.0)

    def stop(self) -> None:
        """End every process, then take the hosts away."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        for name in (self._head, self._node, self._switch):
            asked = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True, check=False)
            for pid in asked.stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "delete", name], capture_output=True, check=False)

    def _spawn(self, host: str, command: list[str], log: str) -> None:
        with (self._folder / log).open("wb") as file:
            self._processes.append(
                subprocess.Popen(
                    ["ip", "netns", "exec", host, *command],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=self._environ,
                    cwd=self._folder,
                    start_new_session=True,
                )
            )

    @property
    def _environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return {
            **kept,
            **_HEALTH,
            "HOME": str(self._folder),  # a token file in the real one would turn authentication on
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(_REPOSITORY),
            "RAY_USAGE_STATS_ENABLED": "0",
            # The hosts share a name, which resolves to neither: gloo would take the loopback device.
            "GLOO_SOCKET_IFNAME": "eth0",
        }


@contextlib.contextmanager
def running_hosts(folder: Path) -> Iterator[Hosts]:
    """Start the hosts and take them away afterwards."""
    hosts = Hosts(folder)
    # Sockets lie in the temporary folder, and their paths may have 107 characters only.
    with tempfile.TemporaryDirectory(prefix="lrd-", ignore_cleanup_errors=True) as temporary:
        try:
            hosts.start(Path(temporary))
            yield hosts
        finally:
            hosts.stop()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
