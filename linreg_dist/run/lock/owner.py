"""The holder of a run's lock."""

from __future__ import annotations

import getpass
import json
import os
import socket
import uuid
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter

from linreg_dist.errors import SpecError
from linreg_dist.liveness import process_exists, process_start
from linreg_dist.storage import Location, read_file
from linreg_dist.wording.json_text import parse_object

_LOCK_BYTES = 1 << 16


@dataclass(frozen=True)
class Owner:
    """Who holds a run.

    Attributes:
        nonce: differs for every driver that ever was.
        host, pid, user: where it runs.
        since: when it took the lock, ISO 8601.
        process: identifies the process among all that ever had its pid: boot, process namespace, start time.

    """

    nonce: str
    host: str
    pid: int
    user: str
    since: str
    process: tuple[str, str, str]

    __pydantic_config__ = ConfigDict(extra="forbid")

    @classmethod
    def this_process(cls) -> Owner:
        """Return this process as an owner."""
        return cls(
            nonce=uuid.uuid4().hex,
            host=socket.gethostname(),
            pid=os.getpid(),
            user=_user(),
            since=datetime.now().astimezone().isoformat(timespec="seconds"),
            process=(*_where(), process_start(os.getpid()) or ""),
        )

    @property
    def is_gone(self) -> bool:
        """Whether this process can tell that the owner's process has ended."""
        if not self._is_here:
            return False  # only its heartbeat tells
        now = process_start(self.pid)
        # Another user's process may be hidden in /proc (hidepid): what cannot be seen is not dead.
        return not process_exists(self.pid) if now is None else now != self.process[2]

    @property
    def is_running(self) -> bool:
        """Whether this process can tell that the owner's process runs."""
        return self._is_here and process_start(self.pid) == self.process[2]

    @property
    def _is_here(self) -> bool:
        """Whether the owner's pid means the same process to it and to us."""
        where = self.process[:2]
        return self.host == socket.gethostname() and where == _where() and all(where)

    def to_json(self) -> bytes:
        """Return what `read_owner` reads."""
        return json.dumps(asdict(self)).encode()

    def __str__(self) -> str:
        return f"process {self.pid} of {self.user} on {self.host} (since {self.since})"


@dataclass(frozen=True)
class Sighting:
    """Another driver's lock, as it was found.

    Attributes:
        owner: the other driver.
        age_s: seconds since its last heartbeat, by the clock of the storage.

    """

    owner: Owner
    age_s: float


_OWNER = TypeAdapter(Owner)


def read_owner(path: Location) -> Owner | None:
    """Return the owner that a file names, None without a file.

    Raises:
        SpecError: it names none.

    """
    try:
        return _OWNER.validate_python(parse_object(read_file(path, _LOCK_BYTES)))
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        raise SpecError(
            f"{path} is not a lock that this version can read; if no other driver works on the run, "
            "remove the file and start the job again"
        ) from None


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return str(os.getuid())


def _where() -> tuple[str, str]:
    """Return what says that two pids are of one kernel and namespace; empty where nothing tells."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return boot, os.readlink("/proc/self/ns/pid")
    except OSError:
        return "", ""
