"""One driver at a time for a run: a lock file in the run's folder, with its owner and a heartbeat.

The owner touches the file every few seconds. A driver that finds the lock taken is refused if the owner is
alive, and takes the lock over if it is not: at once where the owner's process is known to be gone (same host,
boot and process namespace), else after `STALE_S` without a heartbeat. Ages are measured by the clock of the
file system or the store, so hosts whose clocks differ agree. An owner that was paused that long, and finds
the lock gone or taken, has lost the run: it stops and writes nothing more.
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from linreg_dist.errors import RunFailedError, RunInUseError, SpecError, StorageError
from linreg_dist.liveness import process_start
from linreg_dist.storage import Location, ObjectPath, no_patience, write_whole

logger = logging.getLogger(__name__)

FILE = "lock.json"
BEAT_S = 5.0
STALE_S = 60.0
_SETTLE_S = 0.5


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
        *where, started = self.process
        if self.host != socket.gethostname() or tuple(where) != _where() or not all(where):
            return False  # elsewhere: only its heartbeat tells
        return process_start(self.pid) != started


class LockFile:
    """The lock as a file, which is all that depends on where the run is stored.

    Args:
        path: the file; its folder must exist.

    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def create(self, owner: Owner) -> bool:
        """Write the file unless there is one; return whether it was written."""
        temporary = self._write_temporary(owner)
        try:
            os.link(temporary, self.path)  # atomic, on NFS too, and fails where the name is taken
        except FileExistsError:
            return False
        finally:
            temporary.unlink()
        return True

    def replace(self, owner: Owner) -> None:
        """Write the file, whatever was there."""
        self._write_temporary(owner).replace(self.path)

    def read(self) -> Owner | None:
        """Return the owner, None if there is no lock."""
        return _read_owner(self.path)

    def age_s(self) -> float:
        """Return the seconds since the last heartbeat, by the file system's clock; 0 if there is no lock."""
        probe = self.path.with_name(f".{FILE}.{uuid.uuid4().hex}.now")
        probe.touch()
        try:
            return probe.stat().st_mtime - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        finally:
            probe.unlink()

    def touch(self) -> None:
        """Give a heartbeat. It names no owner, so it can never take a lock away from another."""
        os.utime(self.path)

    def remove(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)

    def _write_temporary(self, owner: Owner) -> Path:
        temporary = self.path.with_name(f".{FILE}.{owner.nonce}.tmp")
        with temporary.open("w") as file:
            json.dump(asdict(owner), file)
            file.flush()
            os.fsync(file.fileno())
        return temporary


class ObjectLockFile:
    """The lock as an object beside another that is the heartbeat; the same methods as `LockFile`.

    A plain PUT never fails because a name is taken, so a new lock counts if it is still ours a moment later.
    Of two drivers that start in the same moment the last writer has it, and the other sees that then, or at
    its next heartbeat.

    Args:
        path: the object.

    """

    def __init__(self, path: ObjectPath) -> None:
        self.path = path
        self._beat = path.with_name(f"{FILE}.beat")

    def create(self, owner: Owner) -> bool:
        """Write the lock unless there is one; return whether it was written and has stayed."""
        if self.path.exists():
            return False
        self.replace(owner)
        time.sleep(_SETTLE_S)
        found = self.read()
        return found is not None and found.nonce == owner.nonce

    def replace(self, owner: Owner) -> None:
        """Write the lock, whatever was there."""
        self.touch()
        write_whole(self.path, json.dumps(asdict(owner)))

    def read(self) -> Owner | None:
        """Return the owner, None if there is no lock."""
        return _read_owner(self.path)

    def age_s(self) -> float:
        """Return the seconds since the last heartbeat, by the store's clock; 0 if there is no lock."""
        probe = self.path.with_name(f"{FILE}.{uuid.uuid4().hex}.now")
        write_whole(probe, b"")
        try:
            now, *seen = [place.version() for place in (probe, self._beat, self.path)]
            beats = [version[0] for version in seen if version is not None]
            return 0.0 if now is None or not beats else (now[0] - max(beats)) / 1e9
        finally:
            probe.unlink(missing_ok=True)

    def touch(self) -> None:
        """Give a heartbeat. It names no owner, so it can never take a lock away from another."""
        write_whole(self._beat, b"")

    def remove(self) -> None:
        """Remove both objects."""
        self.path.unlink(missing_ok=True)
        self._beat.unlink(missing_ok=True)


def _read_owner(path: Location) -> Owner | None:
    try:
        document = json.loads(path.read_text())
        return Owner(**{**document, "process": tuple(document["process"])})
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError):
        raise RunFailedError(
            f"{path} is not a lock that this version can read; if no other driver works on the run, remove "
            "the file and start the job again"
        ) from None


AnyLockFile = LockFile | ObjectLockFile


class RunLock:
    """A run that this process holds. Made by `hold_run`."""

    def __init__(self, file: AnyLockFile, owner: Owner, on_loss: Callable[[], None] | None) -> None:
        self._file = file
        self._owner = owner
        self._on_loss = on_loss
        self._lost: str | None = None
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="run-lock", daemon=True)
        self._thread.start()

    @property
    def is_lost(self) -> bool:
        """Whether another driver is known to have taken the run over."""
        return self._lost is not None

    def check(self) -> None:
        """Look whether the run is still ours, before something is written that others would take as the
        run's.

        Raises:
            RunFailedError: another driver has it.

        """
        self._look()
        if self._lost is not None:
            raise RunFailedError(self._lost)

    def release(self) -> None:
        """Give the run back."""
        self._released.set()
        self._thread.join()
        self._look()
        if self._lost is None:
            self._file.remove()

    def _beat(self) -> None:
        while not self._released.wait(BEAT_S):
            try:
                with no_patience():
                    self._look()
                    if self._lost is None:
                        self._file.touch()
            except (OSError, StorageError, SpecError) as error:
                # Storage may be away for a while; the next beat tells.
                logger.warning("no heartbeat could be written to %s: %s", self._file.path, error)
            if self._lost is not None:
                if self._on_loss is not None and not self._released.is_set():
                    self._on_loss()
                return

    def _look(self) -> None:
        found = self._file.read()
        if found is not None and found.nonce == self._owner.nonce:
            return
        taker = "its lock file is gone" if found is None else f"{_describe(found)} took it over"
        self._lost = (
            f"this driver has lost its run {self._file.path.parent}: {taker} while this one gave no "
            f"heartbeat for {STALE_S:g} s (a paused machine, or storage that did not answer). It stops and "
            "writes nothing more; follow the other driver, or start the job again when that one has ended"
        )


@contextmanager
def hold_run(folder: Location, *, on_loss: Callable[[], None] | None = None) -> Iterator[RunLock]:
    """Hold the run in ``folder`` while the block runs; the folder is made if need be.

    Args:
        folder: the run's.
        on_loss: called from the heartbeat's thread when another driver has taken the run over.

    Raises:
        RunInUseError: another driver works on it.
        RunFailedError: the folder cannot be written to.
        StorageError, SpecError: an object store does not answer, or refuses.

    """
    owner = Owner.this_process()
    file: AnyLockFile = (
        ObjectLockFile(folder / FILE) if isinstance(folder, ObjectPath) else LockFile(folder / FILE)
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(file, owner)
    except OSError as error:
        raise RunFailedError(
            f"the run's folder {folder} cannot be written to: {error}. Make room or get the right to write "
            "there, or choose another run.storage_path"
        ) from error
    lock = RunLock(file, owner, on_loss)
    try:
        yield lock
    finally:
        try:
            with no_patience():
                lock.release()
            if isinstance(folder, Path) and not any(folder.iterdir()):
                folder.rmdir()  # a run that was refused before it began leaves nothing behind
        except (OSError, StorageError, SpecError) as error:  # it goes stale by itself
            logger.warning("the lock %s could not be removed: %s", file.path, error)


def _acquire(file: AnyLockFile, owner: Owner) -> None:
    """Take the lock: a new one, or one whose owner is dead.

    An owner whose heartbeat is late is given until `STALE_S` to show itself, so that a driver that was moved
    to another host need not be started twice.
    """
    told = False
    while not file.create(owner):
        other, age = file.read(), file.age_s()
        if other is None:
            continue  # released just now
        if age < 2 * BEAT_S and not other.is_gone:
            raise RunInUseError(
                f"{file.path.parent} is in use by {_describe(other)}, last heartbeat {max(age, 0.0):.0f} s "
                "ago. Expected one driver per run name: wait for that one or stop it, or choose another "
                f"name. A driver that is gone frees its run at once on its own host, elsewhere after "
                f"{STALE_S:g} s"
            )
        if age < STALE_S and not other.is_gone:
            if not told:
                logger.warning(
                    "%s was held by %s, without a heartbeat for %.0f s: waiting until it is %g s",
                    *(file.path.parent, _describe(other), age, STALE_S),
                )
                told = True
            time.sleep(min(1.0, STALE_S - age))
            continue
        _take_over(file, other, owner)
        return


def _take_over(file: AnyLockFile, dead: Owner, owner: Owner) -> None:
    """Replace a dead owner's lock. Several may try: the last writer has it, and all look after a while."""
    logger.warning(
        "%s was held by %s, which has ended without releasing it: taking over",
        file.path.parent,
        _describe(dead),
    )
    found = file.read()
    if found is None or found.nonce == dead.nonce:
        file.replace(owner)
        time.sleep(min(1.0, BEAT_S / 2))
        found = file.read()
    if found is None or found.nonce != owner.nonce:
        who = "another driver" if found is None else _describe(found)
        raise RunInUseError(
            f"{file.path.parent} was just taken over by {who}; wait for that one, or choose another name"
        )


def _describe(owner: Owner) -> str:
    return f"process {owner.pid} of {owner.user} on {owner.host} (since {owner.since})"


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
