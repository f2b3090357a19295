"""A job on a Ray cluster's job server, from the sending to the end; it is stopped when its watcher is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from linreg_dist.cluster import Ending, Job, JobServer, follow, job_error, job_server_address, pack
from linreg_dist.cluster import submit as send
from linreg_dist.documents import Event
from linreg_dist.errors import LinregDistError
from linreg_dist.integrations.command import STOPS_WITHIN_S
from linreg_dist.integrations.outcome import JobEnd, end_with
from linreg_dist.jobspec import JobSpec
from linreg_dist.verbs.updating.changed import IfChanged

_LOOKS_EVERY_S = 0.5


def run_on_cluster(
    spec: JobSpec,
    *,
    address: str | None = None,
    fresh: bool = False,
    if_changed: IfChanged = "refuse",
    add: Sequence[str] = (),
    request: str | None = None,
    ship_package: bool = False,
    on_job: Callable[[Job, str, bool], None] = lambda job, url, is_new: None,
    on_event: Callable[[Event], None] = lambda event: None,
    on_text: Callable[[str], None] = lambda line: None,
) -> JobEnd:
    """Send a job, follow it, and return how it ended; whatever interrupts the wait stops the job.

    A watcher that is killed leaves the job running: the same call again finds it and follows it.

    Args:
        spec: the job.
        address: URL of the job server; by default ``cluster.address`` of the spec.
        fresh, if_changed, add, request, ship_package: see `linreg_dist.cluster.pack`.
        on_job: called with the job, the server's URL, and whether it was sent now.
        on_event: called with each line of progress.
        on_text: called with each other line.

    """
    try:
        server = JobServer(job_server_address(address or spec.cluster.address))
        shipment = pack(
            spec, fresh=fresh, if_changed=if_changed, add=add, request=request, ship_package=ship_package
        )
        submission = send(server, shipment, fresh=fresh)
        job_id = submission.job.id
        on_job(submission.job, server.address, submission.is_new)
        ending = _followed(server, job_id, on_event, on_text)
    except LinregDistError as error:
        return end_with(error)
    failed = job_error(ending)
    if failed is not None:
        return end_with(failed)
    document: Mapping[str, object] | None = None if ending.result is None else ending.result.to_json()
    return JobEnd(0, document, ending.last_text)


def stop_job(server: JobServer, job_id: str, within_s: float = STOPS_WITHIN_S) -> None:
    """Stop a job, and wait so long at most until it has ended; a server that is gone has no jobs."""
    with suppress(LinregDistError):
        server.stop(job_id)
        deadline = time.monotonic() + within_s
        while not server.job(job_id).is_over and time.monotonic() < deadline:
            time.sleep(_LOOKS_EVERY_S)


def _followed(
    server: JobServer, job_id: str, on_event: Callable[[Event], None], on_text: Callable[[str], None]
) -> Ending:
    try:
        return follow(server, job_id, on_event=on_event, on_text=on_text)
    except LinregDistError:  # the server is lost, the job may not be
        raise
    except BaseException:
        stop_job(server, job_id)
        raise
