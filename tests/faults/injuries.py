"""What is done to a run. Each function does it once and returns; the run then goes on or is started again."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.faults.driver import Driver
from tests.faults.jobs import Job
from tests.nodes import Nodes
from tests.processes import kill

_SECONDS_WITHOUT_A_NODE = 1.0


@dataclass
class Patient:
    """What an injury can reach.

    Attributes:
        job, driver: the run and its process.
        nodes: the cluster, None in local mode.
        chance: for what the injury leaves open.
        is_hit: False where there was nothing left to injure.

    """

    job: Job
    driver: Driver
    nodes: Nodes | None
    chance: random.Random
    is_hit: bool = True

    @property
    def cluster(self) -> Nodes:
        if self.nodes is None:
            raise RuntimeError("this injury needs a cluster")
        return self.nodes


def kill_worker(patient: Patient) -> None:
    """SIGKILL a train worker."""
    pids: list[int] = []

    def found() -> bool:
        pids[:] = patient.cluster.worker_pids()
        return bool(pids)

    patient.is_hit = patient.driver.wait_until(found)
    if patient.is_hit:
        kill([patient.chance.choice(sorted(pids))])


def kill_node(patient: Patient) -> None:
    """Kill everything on the node without the head; another one joins a second later."""
    patient.cluster.kill_node()
    time.sleep(_SECONDS_WITHOUT_A_NODE)
    patient.cluster.add_node()


def kill_head(patient: Patient) -> None:
    """Kill the head and every node, and start a new cluster at the same address once the driver has given
    up.
    """
    patient.cluster.kill_all()
    patient.driver.wait()
    patient.cluster.start()


def kill_driver(patient: Patient) -> None:
    """SIGKILL the command."""
    patient.driver.send(signal.SIGKILL)
    patient.driver.wait()


def terminate_driver(patient: Patient) -> None:
    """Send the command the notice of a scheduler, SIGTERM, and let it end."""
    patient.driver.send(signal.SIGTERM)
    patient.driver.wait()


def interrupt_driver(patient: Patient) -> None:
    """Press Ctrl-C at the command, and let it end."""
    patient.driver.send(signal.SIGINT)
    patient.driver.wait()


def tear_checkpoint(patient: Patient) -> None:
    """SIGKILL the command, and truncate or delete a file of the newest checkpoint."""
    kill_driver(patient)
    files = newest_checkpoint(patient.job)
    if not files:
        return
    victim = patient.chance.choice(files)
    how = patient.chance.choice(["truncated", "file deleted", "folder deleted"])
    with contextlib.suppress(FileNotFoundError):  # workers that outlive the driver for a moment replace it
        if how == "truncated":
            content = victim.read_bytes()
            victim.write_bytes(content[: patient.chance.randrange(len(content))])
        elif how == "folder deleted" and victim.parent.name.startswith("epoch"):
            shutil.rmtree(victim.parent)
        else:
            victim.unlink()


def newest_checkpoint(job: Job) -> list[Path]:
    """Return the files of the newest checkpoint: the newest folder of an iterative fit, or the lanes' newest
    file of an exact pass.
    """
    steps = sorted(job.checkpoints.glob("epoch*"))
    if steps:
        return sorted(steps[-1].iterdir())
    lanes = sorted(job.checkpoints.glob("moments/lane-*"), key=lambda path: path.stat().st_mtime)
    return lanes[-1:]


@dataclass(frozen=True)
class Fault:
    """An injury and what the driver may answer.

    Attributes:
        injure: does it.
        exit_codes: with which the command may end by it; empty where it goes on by itself.
        moves: whether the run is then finished in local mode instead of on the cluster.

    """

    injure: Callable[[Patient], None]
    exit_codes: tuple[int, ...] = ()
    moves: bool = False


_KILLED = (-signal.SIGKILL,)
FAULTS = {
    "worker killed": Fault(kill_worker),
    "node killed, replaced after 1 s": Fault(kill_node),
    "driver killed": Fault(kill_driver, _KILLED),
    # Before Python has installed its handlers a notice ends it as any process.
    "driver told to stop": Fault(terminate_driver, (130, -signal.SIGTERM)),
    "driver interrupted": Fault(interrupt_driver, (130, -signal.SIGINT)),
    "driver killed, newest checkpoint damaged": Fault(tear_checkpoint, _KILLED),
    "driver killed, finished without the cluster": Fault(kill_driver, _KILLED, moves=True),
    "head killed and restarted": Fault(kill_head, (4,)),
}
