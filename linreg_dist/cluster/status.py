"""`status_document`: a job's state and how far it is."""

from __future__ import annotations

from pathlib import Path

from linreg_dist.cluster.log_lines import LogLines, as_result
from linreg_dist.cluster.server import Job, JobServer
from linreg_dist.cluster.shipment import METADATA_FOLDER
from linreg_dist.documents import JobStatus, SubmittedJob
from linreg_dist.storage import read_regular
from linreg_dist.wording.json_text import parse_object


def job_document(job: Job) -> SubmittedJob:
    """Return what ``list --json`` says of a job."""
    return SubmittedJob(
        job=job.id,
        name=job.name,
        state=job.state,
        message=job.message,
        start_time=job.started_ms,
        end_time=job.ended_ms,
        exit_code=job.exit_code,
        run_folder=job.metadata.get(METADATA_FOLDER),
    )


def status_document(server: JobServer, job: Job) -> JobStatus:
    """Return a job with its progress, from the run's folder where this machine sees it, else from its log."""
    lines = _folder_lines(job) or _log_lines(server, job)
    tick = lines.tick
    percentage = None if tick is None else round(100.0 * min(tick.progress, 1.0), 2)
    remaining = None if job.is_over or tick is None else tick.eta_s
    if job.state == "SUCCEEDED":
        percentage, remaining = 100.0, 0.0
    return JobStatus(
        **dict(job_document(job)),
        progress_percentage=percentage,
        estimated_remaining_s=remaining,
        phase=None if job.is_over or tick is None else tick.phase,
        metrics=lines.epoch,
        result=lines.result if job.is_over else None,
    )


def _log_lines(server: JobServer, job: Job) -> LogLines:
    lines = LogLines()
    if job.state != "PENDING":
        for _ in lines.feed(server.logs(job.id)):
            pass
    return lines


def _folder_lines(job: Job) -> LogLines | None:
    """Return what ``metrics.jsonl`` and ``result.json`` say; None where there is none of this very job."""
    if METADATA_FOLDER not in job.metadata:  # a verb that trains nothing
        return None
    folder = Path(job.metadata[METADATA_FOLDER])
    metrics = folder / "metrics.jsonl"
    try:
        # An older file is of an earlier attempt, or of another machine's folder of the same path.
        if job.started_ms is None or metrics.stat().st_mtime * 1000 < job.started_ms:
            return None
        lines = LogLines()
        for _ in lines.feed(read_regular(metrics).decode(errors="replace")):
            pass
        if job.is_over:
            text = read_regular(folder / "result.json").decode(errors="replace")
            lines.result = as_result(parse_object(text, finite=True))
    except (OSError, ValueError):
        return None
    return lines
