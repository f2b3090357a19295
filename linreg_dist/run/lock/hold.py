"""One driver at a time for a run: a lock in the run's folder, with its owner and a heartbeat.

The owner renews its heartbeat every few seconds. A driver that finds the lock taken is refused if the owner
is alive, and takes the lock over if it is not: at once where the owner's process is known to be gone (same
host, boot and process namespace), else after `STALE_S` without a heartbeat. Ages are measured by the clock of
the storage, so hosts whose clocks differ agree. An owner that was paused that long, and finds the lock gone
or taken, has lost the run: it stops and writes nothing more.

Its form on a file system and on an object store is described in `on_files` and `on_objects`.
"""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from linreg_dist.errors import RunFailedError, RunInUseError, SpecError, StorageError
from linreg_dist.limits import let_through
from linreg_dist.run.lock import on_files, on_objects
from linreg_dist.run.lock.on_files import LockFile
from linreg_dist.run.lock.on_objects import LockObject
from linreg_dist.run.lock.owner import Owner
from linreg_dist.storage import Location, no_patience
from linreg_dist.storage.free_space import describe_room
from linreg_dist.wording.streams import get_logger

logger = get_logger(__name__)

BEAT_S = 5.0
_LOOK_S = 1.0
STALE_S = 60.0
# The last is a store that refuses, as with credentials that have just expired.
_UNREACHED = (OSError, StorageError, SpecError)


def lock_at(folder: Location, owner: Owner) -> LockFile | LockObject:
    """Return the lock of the run in ``folder``, not yet taken."""
    if isinstance(folder, Path):
        return LockFile(folder / on_files.FILE, owner)
    return LockObject(folder / on_objects.FOLDER, owner)


def is_of_lock(path: Location) -> bool:
    """Return whether an entry of a run's folder belongs to its lock."""
    if isinstance(path, Path):
        return path.name.lstrip(".").startswith(on_files.FILE)
    return path.name == on_objects.FOLDER


class RunLock:
    """A run that this process holds. Made by `hold_run`."""

    def __init__(self, lock: LockFile | LockObject, on_loss: Callable[[], None] | None) -> None:
        self._lock = lock
        self._on_loss = on_loss
        self._lost: str | None = None
        self._folder = _identity(lock.path.parent)
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
            RunFailedError: another driver has it, or its storage is gone.

        """
        self._look()
        if self._lost is not None:
            raise RunFailedError(self._lost)

    def release(self) -> None:
        """Give the run back."""
        self._released.set()
        self._thread.join()
        self._lock.give_back()

    def _beat(self) -> None:
        while not self._released.wait(BEAT_S):
            try:
                with no_patience():  # a store that does not answer is asked again at the next beat
                    self._look()
                    if self._lost is None:
                        self._lock.beat()
            except _UNREACHED as error:  # storage may be away for a while; the next beat tells
                logger.warning("no heartbeat could be written to %s: %s", self._lock.path, error)
            if self._lost is not None:
                break
        # Again and again: an interrupt may come where it is not heeded.
        while self._on_loss is not None and not self._released.is_set():
            self._on_loss()
            self._released.wait(BEAT_S)

    def _look(self) -> None:
        found = self._lock.holder()
        if found is not None and found.nonce == self._lock.owner.nonce:
            return
        run = self._lock.path.parent
        now = _identity(run)
        if found is None and now != self._folder:
            gone = "its folder is gone" if now is None else "another folder is in its place"
            self._lost = (
                f"the storage of the run {run} was moved, unmounted or removed while it ran: {gone}. Nothing "
                "more is written there. Put it back, or set run.storage_path to where it is now, and start "
                "the same job again: it continues from its last checkpoint"
            )
            return
        taker = "its lock file is gone" if found is None else f"{found} took it over"
        self._lost = (
            f"this driver has lost its run {run}: {taker} while this one gave no "
            f"heartbeat for {STALE_S:g} s (a paused machine, or storage that did not answer). It stops and "
            "writes nothing more; follow the other driver, or start the job again when that one has ended"
        )


def _identity(folder: Location) -> tuple[int, int] | None:
    """Return what tells a local folder from another of its name; None where there is none to be seen."""
    if not isinstance(folder, Path):
        return None
    try:
        found = folder.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def hold_run(folder: Location, *, on_loss: Callable[[], None] | None = None) -> Iterator[RunLock]:
    """Hold the run in ``folder`` while the block runs; the folder is made if need be.

    Args:
        folder: the run's.
        on_loss: called from the heartbeat's thread when another driver has taken the run over, and again
            every few seconds until the block is left.

    Raises:
        RunInUseError: another driver works on it.
        RunFailedError: the folder cannot be written to.

    """
    lock = lock_at(folder, Owner.this_process())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _acquire(lock)
    except OSError as error:
        let_through(error)
        is_full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        room = f"; {describe_room(folder, error)}" if is_full else ""
        raise RunFailedError(
            f"the run's folder {folder} cannot be written to: {error}{room}. Make room or get the right to "
            "write there, or choose another run.storage_path"
        ) from error
    held = RunLock(lock, on_loss)
    try:
        yield held
    finally:
        try:
            with no_patience():
                held.release()
            if isinstance(folder, Path) and not any(folder.iterdir()):
                folder.rmdir()  # a run that was refused before it began leaves nothing behind
        except _UNREACHED as error:  # it goes stale by itself
            logger.warning("the lock %s could not be removed: %s", lock.path, error)


@dataclass(frozen=True)
class _Watched:
    """An owner elsewhere, watched for a heartbeat by this process's own clock.

    Attributes:
        nonce: the owner's.
        age_s: of its last heartbeat when it was first seen, by the storage's clock; negative where that clock
            was set back.
        since_s: when that was, on this process's monotonic clock.

    """

    nonce: str
    age_s: float
    since_s: float

    @property
    def silent_s(self) -> float:
        """Seconds for which it is known to have given no heartbeat."""
        return max(self.age_s, 0.0) + time.monotonic() - self.since_s

    def has_beaten(self, age_s: float) -> bool:
        """Return whether a heartbeat came since: its age has not grown as time went on."""
        return age_s < self.age_s + (time.monotonic() - self.since_s) - BEAT_S / 2


def _acquire(lock: LockFile | LockObject) -> None:
    """Take the lock: a free one, or one whose owner is dead.

    An owner elsewhere is given until `STALE_S` to show a heartbeat, whatever the age of its last one: a
    driver that was killed and started again on another host within seconds need not be started twice, and a
    clock that was set back keeps no dead lock alive.
    """
    run = lock.path.parent
    seen = None
    deposed = False
    while (found := lock.take()) is not None:
        other = found.owner
        if seen is None or seen.nonce != other.nonce:
            seen = _Watched(other.nonce, found.age_s, time.monotonic())
            if not other.is_gone and not other.is_running and seen.silent_s < STALE_S:
                logger.warning(
                    "%s is held by %s, last heartbeat %.0f s ago: waiting for the next, or until it is %g s",
                    *(run, other, seen.silent_s, STALE_S),
                )
        age = seen.silent_s
        recent = age < 2 * BEAT_S and not other.is_gone
        if recent and deposed:
            raise RunInUseError(
                f"{run} was just taken over by {other}; wait for that one, or choose another name"
            )
        if (recent and other.is_running) or seen.has_beaten(found.age_s):
            raise RunInUseError(
                f"{run} is in use by {other}, last heartbeat {max(found.age_s, 0.0):.0f} s "
                "ago. Expected one driver per run name: wait for that one or stop it, or choose another "
                f"name. A driver that is gone frees its run at once on its own host, elsewhere after "
                f"{STALE_S:g} s"
            )
        if age < STALE_S and not other.is_gone:
            time.sleep(min(_LOOK_S, STALE_S - age))  # a dead owner announces nothing; only time tells
            continue
        why = "has ended without releasing it" if other.is_gone else f"gave no heartbeat for {age:.0f} s"
        logger.warning("%s was held by %s, which %s: taking over", run, other, why)
        lock.depose(other)
        deposed = True
