"""A Ray cluster of several nodes on this machine, whose nodes and workers can be killed.

The nodes are real: each has a raylet, an object store and worker processes of its own, and they differ from
hosts in that they share an address and a file system.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from ray.cluster_utils import Cluster  # noqa: TID253 (Ray's own class for this)

from tests import clusters
from tests.cluster.heads import free_ports
from tests.processes import descendants, kill, train_workers

_OBJECT_STORE_BYTES = 80_000_000


@dataclass
class Nodes:
    """A head and worker nodes.

    Attributes:
        cpus: of each node, the head first.
        dashboard: whether the head has a job server.
        address: ``host:port``, the same after the head was restarted.

    """

    cpus: tuple[int, ...] = (1, 1)
    dashboard: bool = False
    address: str = ""
    job_server: str = ""
    _cluster: Cluster | None = None
    _added: int = 0
    _ports: list[int] = field(default_factory=list)
    # A short name: sockets lie in it, and their paths may have 107 characters only.
    _temporary: tempfile.TemporaryDirectory[str] = field(
        default_factory=lambda: tempfile.TemporaryDirectory(prefix="lrd-", ignore_cleanup_errors=True)
    )

    def start(self) -> None:
        """Start all nodes and wait until they have joined."""
        self._ports = self._ports or free_ports(3)
        head, *others = self.cpus
        cluster = Cluster()
        # A job server tells its jobs the address that it finds in its temporary folder. In the common one
        # that is the last cluster that was started on this machine, which may be another test's.
        temporary = self._temporary.name
        cluster.add_node(
            temp_dir=temporary,
            num_cpus=head,
            object_store_memory=_OBJECT_STORE_BYTES,
            gcs_server_port=self._ports[0],
            include_dashboard=self.dashboard,
            dashboard_port=self._ports[1],
            dashboard_agent_listen_port=self._ports[2],
        )
        self._cluster = cluster
        self.address = cluster.address
        Path(temporary, "ray_current_cluster").write_text(self.address)
        self.job_server = f"http://127.0.0.1:{self._ports[1]}"
        for number in others:
            self.add_node(number)
        cluster.wait_for_nodes()

    def add_node(self, cpus: int = 1) -> None:
        """Add a worker node and wait until it has joined."""
        self._added += 1
        self._running.add_node(
            num_cpus=cpus,
            object_store_memory=_OBJECT_STORE_BYTES,
            # As on a host of its own. A node that unpacks a job's files removes what is in their place: in a
            # folder that nodes share, that is the current directory of the running job.
            runtime_env_dir_name=f"runtime_resources_{self._added}",
        )

    def kill_node(self) -> None:
        """Kill a worker node with everything on it, as a power cut would."""
        node = next(iter(self._running.worker_nodes))
        children = descendants(self._pids(node))
        self._running.remove_node(node, allow_graceful=False)
        kill(children)

    def kill_all(self) -> None:
        """Kill the head and all nodes; nothing of the cluster is left."""
        cluster = self._running
        for node in cluster.list_all_nodes():
            children = descendants(self._pids(node))
            cluster.remove_node(node, allow_graceful=False)
            kill(children)
        self._cluster = None

    def stop(self) -> None:
        """Stop what runs."""
        if self._cluster is not None:
            self._cluster.shutdown()
            self._cluster = None
        self._temporary.cleanup()

    def worker_pids(self) -> list[int]:
        """Return the process ids of the train workers on all nodes."""
        pids = [pid for node in self._running.list_all_nodes() for pid in self._pids(node)]
        return train_workers(pids)

    @property
    def _running(self) -> Cluster:
        if self._cluster is None:
            raise RuntimeError("the cluster was not started, or was killed")
        return self._cluster

    @staticmethod
    def _pids(node: Any) -> list[int]:
        return [info.process.pid for infos in node.all_processes.values() for info in infos]


@contextlib.contextmanager
def running_nodes(cpus: tuple[int, ...] = (1, 1), *, dashboard: bool = False) -> Iterator[Nodes]:
    """Start a cluster and stop it afterwards."""
    clusters.starting("a Ray of several nodes")
    nodes = Nodes(cpus, dashboard)
    # Entrypoints of submitted jobs are `python -m …`.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    try:
        with mock.patch.dict(os.environ, PATH=path):
            nodes.start()
        yield nodes
    finally:
        nodes.stop()
