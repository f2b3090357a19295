"""`LinregOperator`: what the operators share. A verb runs as a job on a cluster, or as a process here.

On a cluster the same job is never sent twice: a task whose worker, scheduler or triggerer was lost finds the
job by its name and goes on with it. A job that failed is sent again, and continues from its checkpoints.

Airflow loads this module every time it reads a DAG, so what does the work is loaded where the work is done.
"""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import TaskDeferralTimeout

from linreg_dist.errors import LinregDistError, RunFailedError
from linreg_dist.integrations.airflow.failures import as_airflow, command_failed
from linreg_dist.integrations.airflow.hook import LinregRayHook
from linreg_dist.integrations.airflow.links import RayJobLink, ReportLink
from linreg_dist.integrations.airflow.reports import dashboard_address, report_address, report_of

if TYPE_CHECKING:
    from linreg_dist.cluster import JobServer, Shipment
    from linreg_dist.integrations.airflow.connection import ServerDetails

JOB_ID_KEY = "job_id"
"""The XCom that holds the submission id of a task's job, while it runs and afterwards."""

_LINES_OF_LOG = 200


class LinregOperator(BaseOperator):
    """A verb of linreg_dist as a task.

    Args:
        conn_id: a connection of the type ``linreg_ray``; None runs the verb here, as a child process.
        env: more environment variables, for ``${VAR}`` in a spec and for the job.
        deferrable: give the worker's slot back while the job runs on the cluster; a trigger waits for it.
        poll_interval_s: seconds between two looks at the job.
        patience_s: seconds that the cluster may be unreachable before the task fails, and is retried.
        ship_package: send linreg_dist too, for a cluster that lacks it.
        report_url: where a browser finds reports, ``https://host/{name}/report.html``; by default the
            connection's.
        kwargs: of every operator: ``task_id``, ``retries``, ``execution_timeout``, …

    """

    template_fields: Sequence[str] = ("conn_id", "env", "report_url")
    template_fields_renderers: ClassVar[dict[str, str]] = {"env": "json"}
    operator_extra_links = (ReportLink(), RayJobLink())
    ui_color = "#e8f0fe"

    def __init__(
        self,
        *,
        conn_id: str | None = None,
        env: Mapping[str, str] | None = None,
        deferrable: bool = True,
        poll_interval_s: float = 5.0,
        patience_s: float = 120.0,
        ship_package: bool = False,
        report_url: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.conn_id = conn_id
        self.env = env
        self.deferrable = deferrable
        self.poll_interval_s = poll_interval_s
        self.patience_s = patience_s
        self.ship_package = ship_package
        self.report_url = report_url
        self.report_link = ""
        self.ray_job_link = ""
        self._job: tuple[ServerDetails, str] | None = None
        self._stop: threading.Event | None = None  # made where the task runs: operators are copied

    @abstractmethod
    def shipment(self, context: Any) -> Shipment:
        """Return the job for the cluster.

        Raises:
            SpecError: the spec is wrong.

        """

    @abstractmethod
    def command(self, context: Any) -> AbstractContextManager[list[str]]:
        """Return the command for this machine, and keep what it reads until it has ended."""

    def tries_before(self, context: Any) -> int:
        """Return how many tries there were before the task was last cleared."""
        return int(context["ti"].max_tries) - int(self.retries)

    def request(self, context: Any) -> str:
        """Return what names the task's job, the same for all tries since it was last cleared."""
        ti = context["ti"]
        return f"airflow {ti.dag_id} {ti.task_id} {ti.run_id} {ti.map_index} {self.tries_before(context)}"

    def variables(self) -> dict[str, str]:
        """Return `env` as a process takes it."""
        return {str(key): str(value) for key, value in (self.env or {}).items()}

    def starts_over(self, context: Any) -> bool:
        """Return whether an earlier job of this name does not count."""
        return False

    def execute(self, context: Any) -> dict[str, Any]:
        """Run the verb, or send it to the cluster, and return the document that it prints."""
        if self.conn_id is None:
            return self._run_here(context)
        return self._run_there(context)

    def finish(self, context: Any, event: Mapping[str, Any], found: bool = False) -> dict[str, Any]:
        """Go on when the trigger has fired.

        Args:
            context: the task's.
            event: the trigger's: ``job_id``, and in ``lost`` why its cluster is given up.
            found: the job was there when this task came to it.

        """
        if event["lost"]:
            raise self._failed(command_failed(str(event["lost"]), retryable=True))
        try:
            details = LinregRayHook(str(self.conn_id)).details()
            server = details.connect()
            job = server.job(event["job_id"])
        except LinregDistError as error:
            raise self._failed(as_airflow(error)) from None
        if found and job.state == "STOPPED":
            # Clearing a task stops the job of its last try, which this one may have found while it still ran.
            self.log.info("%s was stopped by whoever had it before; it is sent again", job.id)
            return self._run_there(context)
        return self._ended(details, server, job.id)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Any) -> Any:
        """Stop the job if the time for it is over, and otherwise go on."""
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralTimeout:
            job_id = context["ti"].xcom_pull(task_ids=self.task_id, key=JOB_ID_KEY)
            self.log.error("the job %s takes longer than %s and is stopped", job_id, self.execution_timeout)
            with suppress(LinregDistError):
                LinregRayHook(str(self.conn_id)).get_conn().stop(str(job_id))
            raise

    def on_kill(self) -> None:
        """Stop the job: the task was told to end while it ran in a worker."""
        if self._stop is not None:
            self._stop.set()
        if self._job is not None:
            details, job_id = self._job
            try:
                details.connect().stop(job_id)
            except LinregDistError as error:
                self.log.warning("%s could not be told to stop: %s", job_id, error)

    def _run_here(self, context: Any) -> dict[str, Any]:
        from linreg_dist.integrations.command import run_command
        from linreg_dist.integrations.progress import ProgressLines

        self._stop = threading.Event()
        progress = ProgressLines(lambda line: self.log.info("%s", line))
        try:
            with self.command(context) as command:
                end = run_command(
                    command,
                    on_event=progress.event,
                    on_text=lambda line: self.log.info("%s", line),
                    stop=self._stop,
                    env=self.variables(),
                )
        except LinregDistError as error:
            raise self._failed(as_airflow(error)) from None
        progress.close()
        if not end.succeeded:
            raise self._failed(command_failed(end.message, retryable=end.retryable))
        document = dict(end.document or {})
        self._link_report(document, self.report_url)
        return document

    def _run_there(self, context: Any) -> dict[str, Any]:
        from linreg_dist.cluster import submit

        try:
            details = LinregRayHook(str(self.conn_id)).details()
            shipment = self.shipment(context)
            server = details.connect()
            submission = submit(server, shipment, fresh=self.starts_over(context))
        except LinregDistError as error:
            raise self._failed(as_airflow(error)) from None
        job, self._job = submission.job, (details, submission.job.id)
        what = "sent to" if submission.is_new else f"is there already ({job.state}) at"
        self.log.info("%s %s %s", job.id, what, server.address)
        self.ray_job_link = dashboard_address(server.address, job.id)
        context["ti"].xcom_push(key=JOB_ID_KEY, value=job.id)
        context["ti"].xcom_push(key=RayJobLink().xcom_key, value=self.ray_job_link)
        if job.is_over:
            return self._ended(details, server, job.id)
        if self.deferrable:
            from linreg_dist.integrations.airflow.trigger import JobTrigger

            self.defer(
                trigger=JobTrigger(str(self.conn_id), job.id, self.poll_interval_s, self.patience_s),
                method_name="finish",
                kwargs={"found": not submission.is_new},
                timeout=self.execution_timeout,
            )
        from linreg_dist.integrations.airflow.watch import JobWatch

        watch = JobWatch(details.connect, job.id, self.patience_s)
        while True:
            look = watch.look()
            if look.news:
                self.log.info("%s", look.news)
            if look.is_over or look.lost:
                return self.finish(
                    context, {"job_id": job.id, "lost": look.lost}, found=not submission.is_new
                )
            time.sleep(self.poll_interval_s)

    def _ended(self, details: ServerDetails, server: JobServer, job_id: str) -> dict[str, Any]:
        """Return what an ended job has printed, with its log in this one.

        Raises:
            AirflowException: it failed.

        """
        from linreg_dist.cluster import Ending, job_error
        from linreg_dist.cluster.log_lines import LogLines
        from linreg_dist.wording.text import safe_text

        self.ray_job_link = dashboard_address(server.address, job_id)
        lines = LogLines()
        try:
            job = server.job(job_id)
            items = [*lines.feed(server.logs(job_id)), *lines.close()]
        except LinregDistError as error:
            raise self._failed(as_airflow(error)) from None
        texts = [safe_text(item) for item in items if isinstance(item, str) and item.strip()]
        if len(texts) > _LINES_OF_LOG:
            self.log.info(
                "… %d lines before; `linreg-dist logs %s` has all", len(texts) - _LINES_OF_LOG, job_id
            )
        for text in texts[-_LINES_OF_LOG:]:
            self.log.info("%s", text)
        failure = job_error(Ending(job, lines.result, lines.last_text))
        if failure is not None:
            raise self._failed(as_airflow(failure))
        document = lines.document if lines.result is None else lines.result.to_json()
        if document is None:
            missing = RunFailedError(f"{job_id} succeeded, but its log has no result; see `linreg-dist logs`")
            raise self._failed(as_airflow(missing))
        self._link_report(document, self.report_url or details.report_url)
        return document

    def _link_report(self, document: dict[str, Any], template: str | None) -> None:
        self.report_link = report_address(report_of(document), str(document.get("name") or ""), template)

    def _failed(self, error: Exception) -> Exception:
        """Write what went wrong as one line, above the traceback that Airflow adds; return the error."""
        self.log.error("%s", error)
        return error
