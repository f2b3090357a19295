"""`submit`: send a job once, however often it is asked for."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

from linreg_dist.cluster.server import Job, JobExistsError, JobServer
from linreg_dist.cluster.shipment import (
    METADATA_FOLDER,
    METADATA_OPTIONS,
    METADATA_REQUEST,
    METADATA_SPEC,
    Shipment,
)
from linreg_dist.errors import ClusterError, RunInUseError, SpecError

_TRIES = 3
_ATTEMPT = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Submission:
    """The job that stands for what was submitted.

    Attributes:
        job: as the server knows it.
        is_new: False if it was there before, running or finished.

    """

    job: Job
    is_new: bool


def submit(server: JobServer, shipment: Shipment, *, fresh: bool = False) -> Submission:
    """Send a job, unless the same one is on the cluster already.

    The submission id is ``<name>-<attempt>``. A job of the same name and spec that waits, runs or has
    succeeded is returned as it is, unless the data may have changed since; after one that failed or was
    stopped, the next attempt is sent, which continues from its checkpoints.

    Args:
        server: where to send it.
        shipment: from `pack`.
        fresh: send it although it has succeeded before; `shipment` should have been packed likewise.

    Raises:
        SpecError: a job of this name runs that has another spec, or runs although `fresh` was asked for.
        RunInUseError: a job of this name and spec runs that adds other data.
        ClusterError: the server cannot be reached, refuses us or fails.

    """
    for _ in range(_TRIES):
        earlier = _attempts(server, shipment)
        if earlier:
            latest = earlier[max(earlier)]
            _refuse_conflict(latest, shipment, fresh=fresh)
            if not latest.is_over or (latest.state == "SUCCEEDED" and _answers(latest, shipment, fresh)):
                return Submission(latest, is_new=False)
        job_id = f"{shipment.name}-{max(earlier, default=0) + 1}"
        with tempfile.TemporaryDirectory(prefix="linreg-dist-submit-") as folder:
            for name, text in shipment.files.items():
                Path(folder, name).write_text(text)
            runtime_env = {
                **shipment.runtime_env,
                "working_dir": folder,
                "env_vars": dict(shipment.environment),
            }
            try:
                server.submit(job_id, shipment.entrypoint, runtime_env, dict(shipment.metadata))
            except JobExistsError:  # somebody else was faster: look at what they sent
                continue
        return Submission(server.job(job_id), is_new=True)
    raise ClusterError(
        f"the job server at {server.address} says that {job_id} exists, but does not list it as a job of "
        f"{shipment.name}; choose another name"
    )


def _attempts(server: JobServer, shipment: Shipment) -> dict[int, Job]:
    """Return the jobs of this name by attempt."""
    found: dict[int, Job] = {}
    for job in server.jobs():
        name, _, attempt = job.id.rpartition("-")
        if name == shipment.name and _ATTEMPT.fullmatch(attempt):
            found[int(attempt)] = job
    return found


def _answers(latest: Job, shipment: Shipment, fresh: bool) -> bool:
    """Return whether a job that has succeeded is what is asked for.

    Where the data may have changed since (``--if-changed``, ``--add``), only the same request knows.
    """
    keys = (METADATA_SPEC, METADATA_OPTIONS, METADATA_REQUEST)
    same = all(latest.metadata.get(key) == shipment.metadata.get(key) for key in keys)
    return (
        same
        and not fresh
        and (METADATA_OPTIONS not in shipment.metadata or METADATA_REQUEST in shipment.metadata)
    )


def _refuse_conflict(latest: Job, shipment: Shipment, *, fresh: bool) -> None:
    if latest.is_over:
        return
    advice = f"Wait for it, stop it with `linreg-dist stop {latest.id}`, or choose another name"
    if latest.metadata.get(METADATA_FOLDER) != shipment.metadata.get(METADATA_FOLDER):
        raise SpecError(
            f"{latest.id} runs on this cluster under the same name with another run.storage_path, "
            f"{latest.metadata.get(METADATA_FOLDER)}. {advice}"
        )
    if latest.metadata.get(METADATA_SPEC) != shipment.metadata[METADATA_SPEC]:
        raise SpecError(f"{latest.id} runs on this cluster under the same name with another spec. {advice}")
    if latest.metadata.get(METADATA_OPTIONS) != shipment.metadata.get(METADATA_OPTIONS):
        raise RunInUseError(
            f"{latest.id} runs on this cluster under the same name with other options "
            f"({latest.metadata.get(METADATA_OPTIONS, 'none')}). {advice}"
        )
    if fresh:
        raise SpecError(f"{latest.id} runs on this cluster; --fresh would delete its run. {advice}")
