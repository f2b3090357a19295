"""The metadata by which Airflow finds the connection type, its form, and the links of the operators."""

from __future__ import annotations

from typing import Any

_PACKAGE = "linreg_dist.integrations.airflow"

CONN_TYPE = "linreg_ray"
HOOK_NAME = "linreg_dist on Ray"

UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["login", "schema"],
    "relabeling": {"host": "Job server", "password": "Token"},
    "placeholders": {
        "host": "http://ray-head:8265",
        "port": "8265, where the job server's address has none",
        "password": "of a cluster with RAY_AUTH_MODE=token",
    },
}
"""The connection's form; the token is the password, which Airflow encrypts and masks in logs."""

EXTRA_FIELDS: dict[str, Any] = {
    "report_url": {
        "label": "Report URL",
        "description": "Where a browser finds a run's report.html: https://reports.example.com/{name}/report.html",
        "schema": {"type": ["string", "null"]},
    },
    "ca_bundle": {
        "label": "CA bundle",
        "description": "File or folder of certificates to trust, for https with a private authority",
        "schema": {"type": ["string", "null"]},
    },
}
"""Fields of the connection beside host, port and token."""


def get_provider_info() -> dict[str, Any]:
    """Return what the entry point ``apache_airflow_provider`` is asked for."""
    return {
        "package-name": "linreg-dist",
        "name": "linreg_dist",
        "description": "Distributed linear regression on Parquet data, trained on Ray.",
        "integrations": [{"integration-name": "linreg_dist", "tags": ["software"]}],
        "operators": [{"integration-name": "linreg_dist", "python-modules": [f"{_PACKAGE}.operators"]}],
        "hooks": [{"integration-name": "linreg_dist", "python-modules": [f"{_PACKAGE}.hook"]}],
        "triggers": [{"integration-name": "linreg_dist", "python-modules": [f"{_PACKAGE}.trigger"]}],
        "connection-types": [
            {
                "connection-type": CONN_TYPE,
                "hook-class-name": f"{_PACKAGE}.hook.LinregRayHook",
                "hook-name": HOOK_NAME,
                "conn-fields": EXTRA_FIELDS,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
            }
        ],
        "extra-links": [f"{_PACKAGE}.links.ReportLink", f"{_PACKAGE}.links.RayJobLink"],
    }
