"""A web proxy between this machine and a job server, for messages: it answers in the server's place."""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_hint(address: str) -> str:
    """Return what to say of the proxy that requests to ``address`` go through; empty where there is none.

    The proxy is named by host and port: its URL may hold a password.
    """
    target = urlsplit(address)
    proxy = getproxies().get(target.scheme) or getproxies().get("all")
    if not proxy or not target.hostname or proxy_bypass(target.netloc.rpartition("@")[2]):
        return ""
    given = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    name = f"{given.hostname}:{given.port}" if given.port else str(given.hostname)
    return (
        f". Requests to it go through the proxy {name} ({target.scheme}_proxy in the environment); "
        f"NO_PROXY={target.hostname} lets them go there directly"
    )
