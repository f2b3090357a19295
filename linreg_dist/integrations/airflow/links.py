"""Links on a task's page: the run's report, and the job on the cluster's dashboard."""

from __future__ import annotations

from typing import Any

from airflow.sdk import BaseOperatorLink


class ReportLink(BaseOperatorLink):
    """A link to ``report.html``."""

    name = "Report"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return what the operator found; Airflow asks in the worker, when the task has ended."""
        return str(getattr(operator, "report_link", ""))


class RayJobLink(BaseOperatorLink):
    """A link to the job's page on the cluster's dashboard; it is there while the job runs, too."""

    name = "Ray job"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, empty for a job that ran here."""
        return str(getattr(operator, "ray_job_link", ""))
