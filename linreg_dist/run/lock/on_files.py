"""The lock of a run on a file system, where a hard link decides at once who has it.

Some file systems have no hard links (exFAT, SMB, gcsfuse, blobfuse, rclone). There the file is made
exclusively, and its maker reads it again after a while: where two could make it, the last writer has it.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import uuid
from pathlib import Path

from linreg_dist.run.lock.owner import Owner, Sighting, read_owner

FILE = "lock.json"
_SETTLE_S = 1.0
_WRITTEN_WITHIN_S = 5.0  # by a driver that has just made the file, where it could not be linked
_NO_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})


class LockFile:
    """The lock as a file.

    Args:
        path: the file; its folder must exist.
        owner: this driver.

    """

    def __init__(self, path: Path, owner: Owner) -> None:
        self.path = path
        self.owner = owner

    def take(self) -> Sighting | None:
        """Take the lock if it is free; return who has it otherwise."""
        while not self.create():
            found, age_s = self.holder(), self.age_s()
            if found is not None:  # else it was released just now
                return None if found.nonce == self.owner.nonce else Sighting(found, age_s)
        return None

    def depose(self, dead: Owner) -> None:
        """Replace a dead owner's lock. Several may try: the last writer has it, and all `take` it or find
        another's after a while.
        """
        found = self.holder()
        if found is None or found.nonce == dead.nonce:
            self.replace()
            time.sleep(_SETTLE_S)  # a rename tells nobody that it was overwritten: look again when all have

    def holder(self) -> Owner | None:
        """Return who has the lock, None if nobody has."""
        deadline = time.monotonic() + _WRITTEN_WITHIN_S
        while (empty := self._is_empty()) and time.monotonic() < deadline:
            time.sleep(0.05)  # a write tells nobody that it is over
        if empty:  # its maker died before it wrote its name
            self.path.unlink(missing_ok=True)
        return read_owner(self.path)

    def beat(self) -> None:
        """Give a heartbeat. It names no owner, so it can never take a lock away from another."""
        os.utime(self.path)

    def give_back(self) -> None:
        """Remove the file if it is this driver's."""
        found = self.holder()
        if found is not None and found.nonce == self.owner.nonce:
            self.path.unlink(missing_ok=True)

    def create(self) -> bool:
        """Write the file unless there is one; return whether it was written."""
        temporary = self._write_temporary()
        try:
            os.link(temporary, self.path)  # atomic, on NFS too, and fails where the name is taken
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            return self._create_without_links()
        finally:
            temporary.unlink()
        return True

    def replace(self) -> None:
        """Write the file, whatever was there."""
        self._write_temporary().replace(self.path)

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

    def _create_without_links(self) -> bool:
        try:
            with self.path.open("xb") as file:
                file.write(self.owner.to_json())
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            return False
        time.sleep(_SETTLE_S)  # not every file system that has no links makes a file only once
        found = self.holder()
        return found is not None and found.nonce == self.owner.nonce

    def _is_empty(self) -> bool:
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == 0

    def _write_temporary(self) -> Path:
        temporary = self.path.with_name(f".{FILE}.{self.owner.nonce}.tmp")
        with temporary.open("wb") as file:
            file.write(self.owner.to_json())
            file.flush()
            os.fsync(file.fileno())
        return temporary
