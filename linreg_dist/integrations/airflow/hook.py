"""`LinregRayHook`: the connection type ``linreg_ray``, a cluster's job server and its token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

from linreg_dist.errors import LinregDistError
from linreg_dist.integrations.airflow.provider import CONN_TYPE, HOOK_NAME

if TYPE_CHECKING:
    from linreg_dist.cluster import JobServer
    from linreg_dist.integrations.airflow.connection import ServerDetails


class LinregRayHook(BaseHook):
    """A connection to a Ray cluster's job server.

    Args:
        conn_id: a connection of the type ``linreg_ray``: host ``http://head:8265``, and the token, if the
            cluster asks for one, as its password.

    """

    conn_name_attr = "conn_id"
    default_conn_name = "linreg_ray_default"
    conn_type = CONN_TYPE
    hook_name = HOOK_NAME

    def __init__(self, conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.conn_id = conn_id

    def details(self) -> ServerDetails:
        """Return where the job server is.

        Raises:
            SpecError: the connection says it wrongly.

        """
        return _details(self.get_connection(self.conn_id))

    async def adetails(self) -> ServerDetails:
        """Return the same where an event loop runs, as in a trigger."""
        return _details(await self.aget_connection(self.conn_id))

    def get_conn(self) -> JobServer:
        """Return the job server.

        Raises:
            ClusterError: nobody answers there, or we are refused.

        """
        return self.details().connect()

    def test_connection(self) -> tuple[bool, str]:
        """Return whether the job server answers, and what it says; the button "Test" shows it."""
        try:
            server = self.get_conn()
            return True, f"{server.address} answers and has {len(server.jobs())} jobs of linreg_dist"
        except LinregDistError as error:
            return False, str(error)


def _details(connection: Any) -> ServerDetails:
    from linreg_dist.integrations.airflow.connection import details_of

    return details_of(
        str(connection.conn_id),
        host=connection.host,
        port=connection.port,
        schema=connection.schema,
        password=connection.password,
        extra=connection.extra_dejson or {},
    )
