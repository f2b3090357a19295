"""A connection to a cluster's job server, from the fields that Airflow keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from linreg_dist.cluster import JobServer, job_server_address
from linreg_dist.errors import SpecError

_PORT = 8265


@dataclass(frozen=True)
class ServerDetails:
    """Where a job server is, and how it lets us in.

    Attributes:
        address: its URL.
        token: of a cluster that asks for one.
        verify: as in `JobServer`.
        report_url: where a browser finds reports, with ``{name}`` for the run's.

    """

    address: str
    token: str | None = field(default=None, repr=False)
    verify: bool | str = True
    report_url: str | None = None

    def connect(self) -> JobServer:
        """Return a connection.

        Raises:
            ClusterError: nobody answers there, or we are refused.

        """
        return JobServer(self.address, token=self.token, verify=self.verify)


def details_of(
    conn_id: str,
    *,
    host: str | None,
    port: int | None,
    schema: str | None,
    password: str | None,
    extra: Mapping[str, Any],
) -> ServerDetails:
    """Return what a connection's fields say.

    The host may be a URL, ``http://head:8265``. A host alone is completed by the schema (http) and the port
    (8265), which is how a connection from a URI arrives: ``linreg-ray://:token@head:8265``.

    Raises:
        SpecError: there is no host, or it is no URL.

    """
    if not host:
        raise SpecError(
            f"the connection {conn_id} has no host; expected the job server's address, http://host:8265"
        )
    is_url = "://" in host
    url = host.rstrip("/") if is_url else f"{schema or 'http'}://{host}"
    if urlsplit(url).port is None and (port or not is_url):
        url = f"{url}:{port or _PORT}"
    ca_bundle = extra.get("ca_bundle")
    return ServerDetails(
        address=job_server_address(url),
        token=password or None,
        verify=str(ca_bundle) if ca_bundle else True,
        report_url=str(extra["report_url"]) if extra.get("report_url") else None,
    )
