"""A proxy that is in the way of a job server is named, and its password is not."""

from __future__ import annotations

import socket

import pytest

from linreg_dist.cluster.proxy import proxy_hint
from linreg_dist.cluster.server import JobServer
from linreg_dist.errors import ClusterError


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_a_proxy_nothing_is_said() -> None:
    assert proxy_hint("http://head:8265") == ""


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_it_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://me:hunter22@squid.lab:3128")
    told = proxy_hint("http://head:8265")
    assert "squid.lab:3128" in told
    assert "NO_PROXY=head" in told
    assert "hunter22" not in told


def test_a_host_that_is_excepted_does_not_go_through_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://squid.lab:3128")
    monkeypatch.setenv("no_proxy", "localhost,head")
    assert proxy_hint("http://head:8265") == ""


def test_a_job_server_behind_a_dead_proxy_is_unreachable_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(ClusterError, match=r"through the proxy 127\.0\.0\.1:9"):
            JobServer(address).jobs()
