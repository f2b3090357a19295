"""A Ray that is started for this machine listens on this machine only, its workers too."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path

import pytest

import linreg_dist as lr
from linreg_dist.verbs.train import train
from tests.parquet import linear_columns, write_parquet

_LISTEN = "0A"


def listeners(root: int) -> set[tuple[str, int]]:
    """Return address and port of all TCP sockets on which a process or its descendants listen."""
    owned = {inode for pid in descendants(root) for inode in socket_inodes(pid)}
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN and fields[9] in owned:
                address, _, port = fields[1].partition(":")
                found.add((address_of(address), int(port, 16)))
    return found


def address_of(text: str) -> str:
    """Decode an address of /proc/net/tcp: 32-bit words in the machine's byte order."""
    words = [bytes.fromhex(text[start : start + 8])[::-1] for start in range(0, len(text), 8)]
    address = ip_address(b"".join(words))
    return str(getattr(address, "ipv4_mapped", None) or address)


def descendants(root: int) -> set[int]:
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    entry.joinpath("stat").read_text().rpartition(")")[2].split()[1]
                )
            except OSError:
                continue
    found, size = {root}, 0
    while len(found) > size:
        size = len(found)
        found |= {pid for pid, parent in parents.items() if parent in found}
    return found


def socket_inodes(pid: int) -> Iterator[str]:
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder) if os.path.isdir(folder) else ():
        try:
            target = os.readlink(f"{folder}/{name}")
        except OSError:  # closed meanwhile
            continue
        if target.startswith("socket:["):
            yield target.removeprefix("socket:[").removesuffix("]")


def test_the_listeners_of_a_process_are_found() -> None:
    addresses = ("127.0.0.1", "0.0.0.0")  # noqa: S104 (a listener on every interface is what is looked for)
    for address in addresses:
        with socket.create_server((address, 0)) as server:
            assert (address, server.getsockname()[1]) in listeners(os.getpid())


@pytest.mark.slow
@pytest.mark.usefixtures("no_ray")
@pytest.mark.parametrize("solver", ["exact", "sgd"])
def test_nothing_that_a_run_on_workers_starts_can_be_reached_from_elsewhere(
    tmp_path: Path, solver: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    before = listeners(os.getpid())
    seen: set[tuple[str, int]] = set()

    @contextmanager
    def watch(_: object) -> Iterator[None]:
        over = threading.Event()

        def look() -> None:
            while not over.wait(0.1):
                seen.update(listeners(os.getpid()) - before)

        thread = threading.Thread(target=look)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    for part in range(4):
        write_parquet(tmp_path / "data" / f"{part}.parquet", linear_columns(200, 3, seed=part))
    spec = {
        "name": "job",
        "data": {"path": str(tmp_path / "data"), "target": "y"},
        "solver": {"name": solver, "epochs": 3},
        "scaling": {"num_workers": 2},
        "run": {"storage_path": str(tmp_path / "runs")},
        "outputs": {"report": False},
    }
    run = train(spec, watch=watch)
    assert run.result["num_workers"] == 2
    assert len(seen) >= 8, "Ray's processes, the workers and where they meet listen"
    assert {address for address, _ in seen if not ip_address(address).is_loopback} == set()


@pytest.mark.slow
def test_the_workers_import_nothing_from_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for name in ("safetensors", "pyarrow", "yaml", "click", "linreg_dist"):
        Path(f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w').write({name!r})\n")
    write_parquet(tmp_path / "a.parquet", linear_columns(100, 2))
    run = lr.train(
        {
            "name": "job",
            "data": {"path": str(tmp_path / "a.parquet"), "target": "y"},
            "scaling": {"num_workers": 1},
            "run": {"storage_path": str(tmp_path / "runs"), "max_failures": 0},
            "outputs": {"report": False},
        }
    )
    assert run.result["status"] == "succeeded"
    assert not (tmp_path / "executed").exists()
