"""The address at which a browser finds a run's report."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlsplit

_BROWSABLE = ("http", "https")


def report_address(report: str | None, name: str, template: str | None) -> str:
    """Return a link to a report; empty where there is no report.

    Args:
        report: its path or URI, from result.json.
        name: the run's.
        template: where reports are served, ``https://host/{name}/report.html``; ``{path}`` is the report's
            path without its leading slash, or its bucket and key.

    """
    if not report:
        return ""
    parts = urlsplit(report)
    path = report.lstrip("/") if not parts.scheme else f"{parts.netloc}{parts.path}"
    if template:
        return template.replace("{name}", quote(name)).replace("{path}", quote(path))
    if parts.scheme in _BROWSABLE:
        return report
    if parts.scheme in ("gs", "gcs"):
        return f"https://storage.cloud.google.com/{quote(path)}"
    if parts.scheme:
        return report
    return f"file://{quote(report)}"


def dashboard_address(server: str, job_id: str) -> str:
    """Return the page of a job on the cluster's dashboard."""
    return f"{server}/#/jobs/{quote(job_id, safe='')}"


def report_of(document: Any) -> str | None:
    """Return the report that a result.json names; None where it names none."""
    report = document.get("report") if isinstance(document, dict) else None
    return report if isinstance(report, str) else None
