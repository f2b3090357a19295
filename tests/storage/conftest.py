"""A real S3 server in a process of its own (moto's, which speaks S3's HTTP), behind a proxy that injects
faults.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs

from tests.storage.s3_proxy import S3Proxy

KEY_ID, SECRET = "AKIAINTHETESTSONLY", "secret/that+nobody/may/ever/see"
BUCKET = "lab"


class Store:
    """The bucket as a test sees it: ``direct`` goes past the proxy."""

    def __init__(self, proxy: S3Proxy, direct: fs.S3FileSystem) -> None:
        self.proxy = proxy
        self.direct = direct
        self.uri = f"s3://{BUCKET}"

    def upload(self, folder: Path, name: str) -> str:
        """Put a local folder's files below a name, and return its URI."""
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            with self.direct.open_output_stream(f"{BUCKET}/{name}/{file.relative_to(folder)}") as sink:
                sink.write(file.read_bytes())
        return f"{self.uri}/{name}"

    def read(self, key: str) -> bytes:
        with self.direct.open_input_file(f"{BUCKET}/{key}") as source:
            return source.read()

    def list_keys(self, below: str = "") -> set[str]:
        """Return the keys of all objects below a name, relative to it."""
        root = f"{BUCKET}/{below}".rstrip("/")
        found = self.direct.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
        return {info.path.removeprefix(f"{root}/") for info in found if info.type == fs.FileType.File}


@pytest.fixture(scope="session")
def s3_proxy() -> Iterator[S3Proxy]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(f"http://127.0.0.1:{port}/", server)
        proxy = S3Proxy(("127.0.0.1", port))
        yield proxy
        proxy.close()
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def store(s3_proxy: S3Proxy, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """An empty bucket, which this process and those it starts reach through the usual environment."""
    for name, value in environment(s3_proxy).items():
        monkeypatch.setenv(name, value)
    s3_proxy.clear()
    direct = fs.S3FileSystem(
        access_key=KEY_ID,
        secret_key=SECRET,
        region="us-east-1",
        endpoint_override="http://{}:{}".format(*s3_proxy.upstream),
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )
    direct.create_dir(BUCKET)
    yield Store(s3_proxy, direct)
    s3_proxy.clear()
    direct.delete_dir(BUCKET)


def environment(proxy: S3Proxy) -> dict[str, str]:
    """Return the usual variables of a machine that may use the bucket."""
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ENDPOINT_URL": proxy.url,
        "LINREG_DIST_STORAGE_RETRY_S": "20",
    }


def _wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310 (our own server)
            return
        except OSError:
            assert server.poll() is None, "the S3 server has ended"
            assert time.monotonic() < deadline, "the S3 server does not answer"
            time.sleep(0.1)
