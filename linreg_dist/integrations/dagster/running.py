"""A job within a step of Dagster: its log, its retries, and its end if the step is told to end."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from linreg_dist.cluster import Job
from linreg_dist.documents import ResultDocument
from linreg_dist.errors import LinregDistError, SpecError
from linreg_dist.integrations.cluster_job import run_on_cluster
from linreg_dist.integrations.command import linreg_dist_command, run_command, train_command
from linreg_dist.integrations.dagster.settings import Settings
from linreg_dist.integrations.outcome import MEANING, JobEnd, end_with
from linreg_dist.integrations.progress import ProgressLines
from linreg_dist.jobspec import JobSpec, resolved_yaml

_SECONDS_BETWEEN_TRIES = 10.0  # while another driver holds the run


def train_model(context: dg.AssetExecutionContext, settings: Settings) -> tuple[ResultDocument, str | None]:
    """Train the model of a step.

    Returns:
        Its result, and the page of its job in Ray's dashboard, if it has one.

    Raises:
        dg.Failure: it failed; whether it may be retried follows from its exit code.

    """
    try:
        spec = settings.load()
    except SpecError as error:
        raise failure(end_with(error)) from None
    step = _Step(context, settings, spec)
    deadline = time.monotonic() + settings.wait_in_use_s
    end = step.run()
    while end.in_use and time.monotonic() < deadline:
        context.log.info(f"{end.message} (waiting for it)")
        time.sleep(_SECONDS_BETWEEN_TRIES)
        end = step.run()
    try:
        return end.result, step.url
    except LinregDistError:
        raise failure(end, step.url) from None


def failure(end: JobEnd, url: str | None = None) -> dg.Failure:
    """Return the failure that Dagster shows, with our one-line message; 2 and 3 are not retried."""
    metadata: dict[str, Any] = {
        "exit_code": dg.MetadataValue.int(end.exit_code),
        "meaning": MEANING.get(end.exit_code, "the process was killed"),
    }
    if url is not None:
        metadata["job"] = dg.MetadataValue.url(url)
    return dg.Failure(description=end.message, metadata=metadata, allow_retries=end.retryable)


def show_model(model: str) -> Mapping[str, Any] | None:
    """Return what ``show --json`` says of a model; None if it cannot be read from here."""
    end = run_command(linreg_dist_command("show", model, "--json"))
    return end.document if end.succeeded else None


class _Step:
    """One step of a Dagster run, which may try its job several times.

    Attributes:
        url: of the job's page in Ray's dashboard.

    """

    def __init__(self, context: dg.AssetExecutionContext, settings: Settings, spec: JobSpec) -> None:
        self._context, self._settings, self._spec = context, settings, spec
        self._keys: Sequence[str] = settings.keys_of(context)
        self._progress = ProgressLines(context.log.info)
        self.url: str | None = None

    def run(self) -> JobEnd:
        self._progress = ProgressLines(self._context.log.info)
        try:
            return self._here() if self._settings.address is None else self._on_cluster()
        finally:
            self._progress.close()

    def _here(self) -> JobEnd:
        options = ["--if-changed", self._settings.if_changed]
        for key in self._keys:
            options += ["--add", key]
        with tempfile.TemporaryDirectory(prefix="linreg-dist-dagster-") as folder:
            file = Path(folder, "job.yaml")
            file.write_text(resolved_yaml(self._spec))
            return run_command(
                train_command(str(file), options=options),
                on_event=self._progress.event,
                on_text=self._context.log.info,
            )

    def _on_cluster(self) -> JobEnd:
        run = self._context.run
        return run_on_cluster(
            self._spec,
            address=self._settings.address,
            if_changed=self._settings.if_changed,
            add=self._keys,
            request=f"dagster {run.root_run_id or run.run_id}",
            ship_package=self._settings.ship_package,
            on_job=self._note,
            on_event=self._progress.event,
            on_text=self._context.log.info,
        )

    def _note(self, job: Job, server_url: str, is_new: bool) -> None:
        self.url = f"{server_url}/#/jobs/{job.id}"
        what = "sent to" if is_new else f"is there already ({job.state}) at"
        self._context.log.info(f"{job.id} {what} {server_url}")
