"""A reverse proxy in front of an S3 server that misbehaves on request: errors, throttling, slow bodies,
requests that arrive late, broken connections and outages.
"""

from __future__ import annotations

import http.client
import re
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_PIECE = 4096
_LONGEST_WAIT_S = 60.0


@dataclass
class Fault:
    """What happens to requests ``METHOD /bucket/key?query`` that a pattern matches.

    Attributes:
        pattern: searched in the request.
        status, code: answer with this error; 0 answers none.
        reset_after: send this many bytes of the body and break the connection.
        bytes_per_s: send the body this slowly.
        until: pass the request on, as one that is slow on its way, when this is set.
        times: how often; None is always.
        every: of the matching requests only each ``every``-th.

    """

    pattern: str = ""
    status: int = 0
    code: str = "InternalError"
    reset_after: int | None = None
    bytes_per_s: float | None = None
    until: threading.Event | None = None
    times: int | None = None
    every: int = 1
    seen: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)

    def strikes(self, request: str) -> bool:
        if not re.search(self.pattern, request):
            return False
        self.seen += 1
        if self.seen % self.every or (self.times is not None and self.hits >= self.times):
            return False
        self.hits += 1
        return True


class S3Proxy:
    """Serves on ``port`` of this machine and passes on to the server at ``upstream`` (host, port)."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.upstream = upstream
        self.requests: list[str] = []
        self._faults: list[Fault] = []
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @contextmanager
    def fault(self, fault: Fault) -> Iterator[Fault]:
        """Let a fault strike while the block runs."""
        with self._lock:
            self._faults.append(fault)
        try:
            yield fault
        finally:
            with self._lock:
                self._faults.remove(fault)

    def outage(self) -> object:
        """Break every connection before a byte is answered, while the block runs."""
        return self.fault(Fault(reset_after=-1))

    def clear(self) -> None:
        """End what still strikes, and forget the requests."""
        with self._lock:
            self._faults.clear()
            self.requests.clear()

    def count(self, pattern: str) -> int:
        """Return how many requests matched."""
        return sum(bool(re.search(pattern, request)) for request in list(self.requests))

    def struck(self, request: str) -> Fault | None:
        with self._lock:
            self.requests.append(request)
            return next((fault for fault in self._faults if fault.strikes(request)), None)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: S3Proxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: broken connections are what this server is for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: object) -> None:
        pass

    def _serve(self) -> None:
        fault = self.server.proxy.struck(f"{self.command} {self.path}")
        if fault is not None and fault.reset_after == -1:
            self._break()
            return
        body = self._body()
        if fault is not None and fault.status:
            text = f"<?xml version='1.0'?><Error><Code>{fault.code}</Code><Message>injected</Message></Error>"
            self._answer(fault.status, [("Content-Type", "application/xml")], text.encode())
            return
        if fault is not None and fault.until is not None:
            fault.until.wait(_LONGEST_WAIT_S)
        connection = http.client.HTTPConnection(*self.server.proxy.upstream, timeout=60)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP}
        headers["Content-Length"] = str(len(body))
        connection.request(self.command, self.path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        self._answer(response.status, response.getheaders(), content, fault)

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _serve

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _answer(
        self, status: int, headers: list[tuple[str, str]], content: bytes, fault: Fault | None = None
    ) -> None:
        self.send_response_only(status)
        kept = [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
        length = {name.lower(): value for name, value in headers}.get("content-length")
        for name, value in kept:
            self.send_header(name, value)
        head = self.command == "HEAD"
        self.send_header("Content-Length", length if head and length else str(len(content)))
        self.end_headers()
        if head:
            return
        if fault is not None and fault.reset_after is not None:
            self.wfile.write(content[: fault.reset_after])
            self.wfile.flush()
            self._break()
        elif fault is not None and fault.bytes_per_s:
            for start in range(0, len(content), _PIECE):
                self.wfile.write(content[start : start + _PIECE])
                time.sleep(_PIECE / fault.bytes_per_s)
        else:
            self.wfile.write(content)

    def _break(self) -> None:
        """Reset the connection, so that the other side does not take what it has for all."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


_HOP_BY_HOP = ("content-length", "transfer-encoding", "connection", "date", "server")
